"""GCompris: instruments, farm animals and effects of learning games (gcompris-qt-data; CC-BY-SA and others).

The sounds lie in Qt resource files (.rcc): a tree of names and a block of data, read here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import Captions, animal_question, article, ask, effect, kind, stem, words
from unpack import write_once

from audiotext.data.corpus import Clip, DataError

EXPECTED = {"train": 100}
# sounds with a clear name, by activity; the activities' other sounds are interface noises
EVENTS = {
    "canal_lock": {"door_open": "a canal lock gate opening", "door_close": "a canal lock gate closing",
                   "water_fill": "a canal lock filling with water", "lock": "a lock"},
    "core": {"crash": "a crash", "water": "running water", "brick": "a brick", "bleep": "a bleep",
             "scroll": "paper scrolling", "flip": "a flip"},
    "clickgame": {"drip": "a drip of water", "bubble": "a bubble"},
    "erase": {"eraser1": "an eraser rubbing", "eraser2": "an eraser rubbing"},
    "redraw": {"brush": "a brush painting"}, "gnumch-equality": {"eat": "someone eating"},
    "guessnumber": {"helicopter": "a helicopter"}, "memory": {"card_flip": "a card being flipped"},
    "mining": {"pickaxe": "a pickaxe"}, "money": {"money1": "coins", "money2": "coins"},
    "morse_code": {"dash": "a long morse code beep", "dot": "a short morse code beep"},
    "railroad": {"train": "a train"}, "reversecount": {"icy_walk": "steps on ice"},
    "scalesboard": {"metal_hit": "metal being hit"}, "target": {"arrow": "an arrow hitting a target"},
    "traffic": {"car": "a car"}, "watercycle": {"harbor1": "a harbour", "harbor2": "a harbour"},
}  # fmt: skip
ANIMALS = {"owl": "an owl hooting", "pig": "a pig grunting", "chickens": "chickens clucking", "cat": "a cat meowing",
           "horse": "a horse neighing", "cow": "a cow mooing", "dog": "a dog barking", "duck": "a duck quacking",
           "sheep": "a sheep bleating"}  # fmt: skip
MEMORY = {
    "start and stop car engine": "a car engine starting and stopping", "fireballs": "fireballs", "object falling":
    "an object falling", "buddhist gong": "a Buddhist gong", "guitar melody": "a guitar melody", "factory noise":
    "factory noise", "ring": "a ring tone", "hits": "hits", "door open": "a door opening", "train slowing down":
    "a train slowing down", "guitar son": "a guitar note", "bark": "a dog barking", "applauses": "applause",
    "weird": "a weird synthetic noise", "frogs in pond during storm": "frogs in a pond during a storm",
    "heart beat": "a heart beat", "rain in garden": "rain in a garden",
}  # fmt: skip
AUDIO = (".ogg", ".wav", ".mp3")


def clips(download: Path) -> Iterator[Clip]:
    root = folder(download, "gcompris-qt-data", "usr/share/gcompris-qt/rcc")
    for activity in sorted({*EVENTS, "instruments", "explore_farm_animals", "memory-sound", "melody"}):
        archive = root / f"{activity}.rcc"
        if not archive.is_file():
            continue
        for name, content in sorted(members(archive).items()):
            path = write_once(download / "unpacked" / "gcompris" / activity / name, lambda content=content: content)
            clip = _clip(activity, path)
            if clip is not None:
                yield clip


def members(path: Path) -> dict[str, bytes]:
    """The audio files of a Qt resource file: name -> content. Layout: header, tree of nodes, names, data."""
    block = path.read_bytes()
    if block[:4] != b"qres":
        raise DataError(f"{path}: not a Qt resource file")
    version, tree, data, names = struct.unpack(">IIII", block[4:20])
    size = 14 if version == 1 else 22  # newer versions add a time stamp to every node
    found = {}

    def visit(node: int) -> None:
        at = tree + node * size
        name_at, flags, first, second = struct.unpack(">IHII", block[at : at + 14])
        if flags & 2:  # a folder: number of children, index of the first
            for child in range(second, second + first):
                visit(child)
            return
        letters = struct.unpack(">H", block[names + name_at : names + name_at + 2])[0]
        name = block[names + name_at + 6 : names + name_at + 6 + 2 * letters].decode("utf-16-be")
        if name.endswith(AUDIO):
            length = struct.unpack(">I", block[data + second : data + second + 4])[0]
            content = block[data + second + 4 : data + second + 4 + length]
            # flag 1: zlib, after four bytes that tell the length
            found[name] = zlib.decompress(content[4:]) if flags & 1 else content

    visit(0)
    return found


def _clip(activity: str, path: Path) -> Clip | None:
    name = stem(path.stem)
    domain, labels, questions = "sound", {}, []
    if activity == "instruments":
        domain, thing = "music", name.replace("flute traversiere", "transverse flute")
        captions = Captions().add("template", f"{article(thing)} is played", f"the sound of {article(thing)}")
        captions.add("description", f"{article(thing)} plays a short tune to teach children its sound")
        captions.add("filename", thing)
        captions.add("template", f"music played on {article(thing)}", f"a melody on {article(thing)}")
        labels, questions = {"instrument": thing}, [ask("Which instrument plays?", thing)]
    elif activity == "melody":
        domain = "music"
        event = "a knock" if name == "knock" else "a note on a xylophone"
        captions = effect(event, words(path.stem), "a memory game for children", "xylophone")
    else:
        if activity == "memory-sound":
            name = name.removeprefix("lr ").removesuffix("cut").strip().removesuffix("la").strip()
            event = MEMORY.get(name, "")
            domain = "music" if "guitar" in name or "gong" in name else "sound"
        else:
            event = (ANIMALS if activity == "explore_farm_animals" else EVENTS[activity]).get(path.stem, "")
        if not event:
            return None
        animal = activity == "explore_farm_animals" or "bark" in name or "frogs" in name
        captions = effect(event, name, "a learning game", "farm animal" if animal else "")
        questions = [*animal_question(animal, path.stem), ask("What is heard?", event)]
    return captions.clip(
        id=f"gcompris-{activity}-{path.stem}", audio=path, domain=domain, source="gcompris", licence="CC-BY-SA-4.0",
        labels=labels, family=f"gcompris-{name}", questions=[*questions, kind(domain)],
    )  # fmt: skip
