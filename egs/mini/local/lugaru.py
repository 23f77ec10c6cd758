"""Lugaru: fighting rabbits, wolves, knives, snow (lugaru-data, CC-BY-SA), Data/Sounds/<Name>.ogg."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import animal_question, article, ask, effect, kind, stem, words

from audiotext.data.corpus import Clip

EXPECTED = {"train": 66}
EVENTS = {
    "alarm": "an alarm", "bark": "a wolf barking", "bark growl": "a bark and a growl", "break": "something breaking",
    "broken": "something broken", "bush rustle": "a rustling bush", "clank": "metal clanking",
    "claw slice": "a claw slicing", "console fail": "a failing console beep",
    "console success": "a confirming console beep", "desert ambient": "desert wind ambience",
    "fire": "a burning fire", "fire start": "a fire starting", "fire end": "a fire dying down",
    "flesh stab": "a stab into flesh", "flesh stab remove": "a blade pulled out of flesh",
    "foot step grass": "footsteps on grass", "foot step snow": "footsteps on snow",
    "foot step stone": "footsteps on stone", "growl": "a wolf growling", "hawk": "a hawk screeching",
    "heavy impact": "a heavy impact", "high whoosh": "a high whoosh", "jump": "a jump",
    "knife draw": "a knife being drawn", "knife sheathe": "a knife being put into its sheath",
    "knife slice": "a knife slicing", "knife swish": "a knife swishing through the air",
    "land": "a landing after a jump", "low whoosh": "a low whoosh", "metal hit": "a hit on metal",
    "mid whoosh": "a whoosh", "move whoosh": "the whoosh of a quick move", "rabbit attack": "an attacking rabbit",
    "rabbit chitter": "a chittering rabbit", "rabbit pain": "a rabbit in pain", "skid": "a skid on the ground",
    "snarl": "a wolf snarling", "snow skid": "a skid on snow", "splatter": "a splatter",
    "staff body": "a staff hitting a body", "staff break": "a staff breaking",
    "staff head": "a staff hitting a head", "sword slice": "a sword slicing",
    "sword staff": "a sword hitting a staff", "thud": "a dull thud", "whoosh": "a whoosh",
    "whoosh hit": "a whoosh and a hit", "wind": "the wind blowing",
}  # fmt: skip
ANIMAL = ("rabbit", "bark", "growl", "snarl", "hawk")


def clips(download: Path) -> Iterator[Clip]:
    for path in sorted(folder(download, "lugaru-data", "usr/share/games/lugaru").rglob("*.ogg")):
        if not path.stem.startswith("Music"):
            yield _clip(path)


def _clip(path: Path) -> Clip:
    name = stem(path.stem)
    event = EVENTS.get(name, article(name))
    animal = any(a in name for a in ANIMAL)
    captions = effect(event, words(path.stem), "a fighting game with rabbits and wolves", "animal" if animal else "")
    return captions.clip(
        id=f"lugaru-{path.stem}", audio=path, domain="sound", source="lugaru", licence="CC-BY-SA-3.0",
        labels={"thing": name}, family=f"lugaru-{name}",
        questions=[*animal_question(animal, path.stem), ask("What is heard?", event), kind("sound")],
    )  # fmt: skip
