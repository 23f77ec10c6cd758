"""OpenSFX: titled effects of a transport game (openttd-opensfx, CC-BY-SA-3.0), wav entries in opensfx.cat."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from audiotext.data.corpus import Clip, DataError
from packages import folder
from phrases import Captions, article, ask, kind, stem
from unpack import write_once

EXPECTED = {"train": 70}
ANIMALS = ("sheep", "cow", "horse", "bird", "lion", "monkeys")
VEHICLES = ("train", "engine", "ship", "ferry", "plane", "jet", "helicopter", "truck", "bus", "vehicle", "car")


def clips(download: Path) -> Iterator[Clip]:
    archive = folder(download, "openttd-opensfx", "usr/share/games/openttd/baseset/opensfx/opensfx.cat")
    for i, (note, wave) in enumerate(entries(archive)):
        title = re.match(r'"(.*?)"', note)
        if title and "Unused" not in title[1]:
            path = write_once(download / "unpacked" / "opensfx" / f"{i:02d}.wav", lambda wave=wave: wave)
            yield _clip(i, path, title[1])


def entries(path: Path) -> list[tuple[str, bytes]]:
    """(note, wav file) of each entry. Layout: table of (offset, length), then length byte, name, wav file."""
    block = path.read_bytes()
    if len(block) < 8:
        raise DataError(f"{path}: too short for a sound catalogue")
    mask = 0x7FFFFFFF  # the highest bit of an offset only tells that entries have names
    found = []
    for at in range(0, struct.unpack("<I", block[:4])[0] & mask, 8):
        offset, length = struct.unpack("<II", block[at : at + 8])
        offset &= mask
        start = offset + 1 + block[offset]
        note = block[offset + 1 : start].rstrip(b"\0").decode("utf-8", errors="replace")
        found.append((note, block[start : start + length]))
    return found


def _clip(i: int, path: Path, title: str) -> Clip:
    scene, colon, rest = title.rpartition(": ")
    plain = re.sub(r"\s*\(?\d+\)?$", "", rest).replace("(", "").replace(")", "").replace("/", " or ").strip()
    thing = plain[:1].lower() + plain[1:]
    low = thing.lower()
    captions = Captions().add("description", title.replace("(", "").replace(")", ""), thing)
    captions.add("template", f"the sound of {article(thing)}", f"sound effect of {article(thing)}")
    captions.add("description", f"{article(thing)}, recorded for a game about trains, roads and ships")
    if colon:
        captions.add("template", f"{thing} in {scene.lower().replace('tropical', 'the tropics')}")
    captions.add("template", f"{article(thing)} can be heard")
    animal = any(a in low.split() for a in ANIMALS)
    return captions.clip(
        id=f"opensfx-{i:02d}", audio=path, domain="sound", source="opensfx", licence="CC-BY-SA-3.0",
        labels={"thing": thing}, family=f"opensfx-{stem(thing)}",
        questions=[ask("Is an animal heard?", "yes" if animal else "no"), ask("What is heard?", thing),
                   ask("Is a vehicle heard?", "yes" if any(v in low for v in VEHICLES) else "no"), kind("sound")],
    )  # fmt: skip
