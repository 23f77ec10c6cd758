"""LinCity: places of a town, with the noise that belongs to them (lincity-ng-data, GPL-2+), sounds/<Place><n>.wav."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import ask, effect, kind, stem, words, yes_no

from audiotext.data.corpus import Clip

EXPECTED = {"train": 138}
PLACES = {
    "blacksmith": "a blacksmith at the anvil", "build": "building work", "click": "a click",
    "coal mine": "a coal mine", "commune": "life in a commune", "dirt track": "traffic on a dirt track",
    "farm": "a farm with animals", "fire": "a burning fire", "fire station": "a fire station",
    "fire wasteland": "a burnt wasteland", "green": "birds in the green", "harbor": "a harbour",
    "health": "a health centre", "industry high": "heavy industry", "industry light": "light industry",
    "market empty": "an empty market", "market full": "a full market", "market low": "a quiet market",
    "market med": "a busy market", "mill": "a mill", "monument": "a monument",
    "monument construction": "the construction of a monument", "ore mine": "an ore mine",
    "organic farm": "an organic farm", "parkland lake": "a lake in a park", "parkland plane": "a plane over a park",
    "pottery": "a pottery", "power coal empty": "an idle coal power station",
    "power coal full": "a coal power station at full power", "power coal low": "a coal power station at low power",
    "power coal med": "a coal power station", "power line": "a humming power line",
    "power solar": "a solar power station", "rail train": "a train on rails", "raze": "a building being torn down",
    "recycle": "a recycling plant", "residential high": "a dense residential area",
    "residential low": "a quiet residential area", "residential low low": "a very quiet residential area",
    "residential med": "a residential area", "rocket": "a rocket site", "rocket explosion": "a rocket exploding",
    "rocket takeoff": "a rocket taking off", "school": "children at a school", "shanty": "a shanty town",
    "sports croud": "a crowd at a sports ground", "substation": "an electric substation",
    "substation off": "a substation being switched off", "substation on": "a substation being switched on",
    "tip": "a rubbish tip", "trafic high": "heavy traffic on a road", "trafic low": "light traffic on a road",
    "university": "a university", "water": "water", "wind mill": "a windmill",
    "wind mill h tech": "a modern wind turbine", "window open": "a window opening",
    "window close": "a window closing",
}  # fmt: skip


def clips(download: Path) -> Iterator[Clip]:
    for path in sorted(folder(download, "lincity-ng-data", "usr/share/games/lincity-ng/sounds").rglob("*.wav")):
        yield _clip(path)


def _clip(path: Path) -> Clip:
    name = stem(path.stem)
    place = PLACES.get(name, name)
    spelt = words(path.stem).replace("trafic", "traffic").replace("croud", "crowd")
    captions = effect(place, spelt, "a town building game")
    captions.add("template", f"ambient noise of {place}", f"{place} in the background of a town")
    return captions.clip(
        id=f"lincity-{path.stem}", audio=path, domain="sound", source="lincity", licence="GPL-2.0-or-later",
        labels={"thing": name}, family=f"lincity-{name}",
        questions=[yes_no("Is it the sound of {}?", place, sorted(PLACES.values()), path.stem),
                   ask("What is heard?", place), kind("sound")],
    )  # fmt: skip
