"""Scratch 1.4: animals, people, effects, instruments and loops (scratch, CC-BY-SA-3.0), Media/Sounds/<folder>/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import animal_question, article, ask, effect, kind, stem, words

from audiotext.data.corpus import Clip

EXPECTED = {"train": 114}
FOLDERS = {  # folder -> domain, sort of sound
    "Animal": ("sound", "animal"), "Effects": ("sound", "effect"), "Human": ("sound", "human"),
    "Electronic": ("sound", "electronic"), "Instruments": ("music", "instrument"),
    "Percussion": ("music", "percussion"),
    "Music Loops": ("music", "music loop"), "Vocals": ("music", "vocals"),
}  # fmt: skip
EVENTS = {
    "dog": "a dog barking", "sea lion": "a sea lion barking", "horse gallop": "a galloping horse",
    "owl": "an owl hooting", "rooster": "a rooster crowing", "bird": "a bird singing", "wolf howl": "a wolf howling",
    "crickets": "crickets chirping", "cricket": "a cricket chirping", "kitten": "a kitten mewing",
    "goose": "a goose honking", "meow": "a cat meowing", "duck": "a duck quacking", "horse": "a horse neighing",
    "cat": "a cat", "laugh female": "a woman laughing", "scream female": "a woman screaming",
    "cough female": "a woman coughing", "footsteps": "footsteps of a person", "baby cry": "a baby crying",
    "finger snap": "a finger snap", "party noise": "the noise of a party", "cough male": "a man coughing",
    "slurp": "someone slurping", "sneeze male": "a man sneezing", "sneeze female": "a woman sneezing",
    "scream male": "a man screaming", "laugh male": "a man laughing", "water drop": "a water drop",
    "ripples": "ripples of water", "typing": "typing on a keyboard", "plunge": "something plunging into water",
    "motorcycle passing": "a motorcycle passing by", "water running": "running water", "bell toll": "a bell tolling",
    "door close": "a door closing", "door creak": "a door creaking", "rattle": "a rattle", "pop": "a pop",
    "sewing machine": "a sewing machine", "balloon scratch": "a balloon being scratched",
    "car passing": "a car passing by", "bubbles": "bubbles", "gong": "a gong", "hand clap": "a hand clap",
    "shaker": "a shaker", "cymbal crash": "a cymbal crash", "ride cymbal": "a ride cymbal",
    "guitar strum": "a guitar being strummed", "trumpet": "a trumpet", "tambura": "a tambura",
    "string pluck": "a plucked string", "human beatbox": "a person beat boxing", "beat box": "a person beat boxing",
    "singer": "a person singing", "drum machine": "a drum machine loop", "drum set": "a drum set",
    "xylo": "a xylophone melody", "guitar chords": "guitar chords", "dijjeridoo": "a didgeridoo", "laser": "a laser",
    "computer beeps": "computer beeps",
}  # fmt: skip


def clips(download: Path) -> Iterator[Clip]:
    root = folder(download, "scratch", "usr/share/scratch/Media/Sounds")
    for place, (domain, sort) in FOLDERS.items():
        for path in sorted((root / place).glob("*.*")):
            yield _clip(path, domain, sort)


def _clip(path: Path, domain: str, sort: str) -> Clip:
    name = stem(path.stem)
    plain = f"a loop of {name} music" if sort == "music loop" else f"the song line {name}" if sort == "vocals" else \
        article(f"{name} sound")  # fmt: skip
    event = EVENTS.get(name, plain)
    captions = effect(event, words(path.stem), group=sort)
    captions.add("description", f"{event}, {'an' if sort[0] in 'aei' else 'a'} {sort} sound for children's projects")
    person = sort in ("human", "vocals") or "person" in event
    about = animal_question(sort == "animal", name)
    if person or not about:
        about = [ask("Is a person heard?", "yes" if person else "no")]
    return captions.clip(
        id=f"scratch-{words(path.parent.name).replace(' ', '_')}-{path.stem}", audio=path, domain=domain,
        source="scratch", licence="CC-BY-SA-3.0", labels={"sort": sort, "thing": name}, family=f"scratch-{name}",
        questions=[*about, ask("What is heard?", event), kind(domain)],
    )  # fmt: skip
