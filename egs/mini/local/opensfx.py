"""OpenSFX: titled effects of a transport game (openttd-opensfx, CC-BY-SA-3.0), wav entries in opensfx.cat."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import Captions, animal_question, article, ask, kind, stem
from unpack import write_once

from audiotext.data.corpus import Clip, DataError

EXPECTED = {"train": 70}
ANIMALS = ("sheep", "cow", "horse", "bird", "lion", "monkeys")
VEHICLES = ("train", "engine", "ship", "ferry", "plane", "jet", "helicopter", "truck", "bus", "vehicle", "car")


EVENTS = {  # titles that are no noun phrases
    "good year": "a fanfare for a good year", "bad year": "a sad tune for a bad year", "morse": "morse code beeps",
    "splat building docks or canals or river": "a splat", "splat terraform or non-rail builds": "a splat of earth",
    "splat rail builds": "rails being laid", "propeller plane start": "a propeller plane starting",
    "early jet take off": "an early jet plane taking off", "mach 1+ jet take off": "a supersonic jet taking off",
    "modern jet take off": "a modern jet plane taking off", "plane wheels touching ground": "a plane touching down",
    "truck or old bus start, pull away": "an old truck pulling away", "modern bus start": "a modern bus starting",
    "truck or old bus start, pull away with horn": "an old truck pulling away and honking its horn",
    "old bus start": "an old bus starting", "sheep": "a sheep bleating", "cow": "a cow mooing",
    "horse": "a horse neighing", "building bridge": "a bridge being built", "bubble generated": "a bubble forming",
    "bubble slurped": "a bubble being slurped", "crashing tree": "a tree crashing down", "falling tree":
    "a tree being felled", "lion roar": "a lion roaring", "monkeys": "monkeys screaming", "bird": "a tropical bird",
    "propeller plane take off": "a toy propeller plane taking off", "jet take off": "a toy jet plane taking off",
    "comedy bus start": "a comical bus starting", "comedy truck start": "a comical truck starting",
    "steam engine going in tunnel": "a steam engine going into a tunnel", "oooh sound": "a crowd going ooh",
    "steam of steam engine": "steam of a steam engine", "steam train station departure":
    "a steam train leaving the station", "diesel or electric train station departure":
    "a diesel train leaving the station", "maglev train station departure": "a magnetic train leaving the station",
    "monorail train station departure": "a monorail train leaving the station",
}  # fmt: skip


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
    heard = EVENTS.get(low) or article(thing)
    captions.add("template", heard, f"the sound of {heard}", f"sound effect of {heard}")
    captions.add("description", f"{heard}, recorded for a game about trains, roads and ships")
    if colon:
        captions.add("template", f"{thing} in {scene.lower().replace('tropical', 'the tropics')}")
    captions.add("template", f"{heard} can be heard")
    animal = any(a in low.split() for a in ANIMALS)
    return captions.clip(
        id=f"opensfx-{i:02d}", audio=path, domain="sound", source="opensfx", licence="CC-BY-SA-3.0",
        labels={"thing": thing}, family=f"opensfx-{stem(thing)}",
        questions=[*animal_question(animal, thing), ask("What is heard?", thing),
                   ask("Is a vehicle heard?", "yes" if any(v in low for v in VEHICLES) else "no"), kind("sound")],
    )  # fmt: skip
