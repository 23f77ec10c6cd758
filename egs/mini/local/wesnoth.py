"""Battle for Wesnoth: creatures and weapons of a fantasy world (wesnoth-<version>-data, GPL-2+ and CC-BY-SA).

data/core/sounds/<creature>-{hit,die}-<n>.ogg, <weapon>[-miss].ogg, ambient/, horn-signals/. The creatures are actors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import Captions, article, ask, effect, kind, stem, words, yes_no

from audiotext.data.corpus import Clip

EXPECTED = {"train": 231}
ANIMALS = ("wolf", "horse", "bat", "tusker", "gryphon", "birds")
CREATURES = {"human": "man", "human old": "old man", "human female": "woman", "orc small": "small orc", "skeleton big":
             "big skeleton", "wose": "tree creature", "tusker": "wild boar", "naga": "snake creature",
             "drake": "drake dragon", "lich": "undead lich", "mermen": "merman"}  # fmt: skip
ACTS = {"hit": ("is hit", "being hit"), "die": ("dies", "dying"), "growl": ("growls", "growling"), "shriek":
        ("shrieks", "shrieking")}  # fmt: skip
WEAPONS = {
    "bow": "an arrow shot from a bow", "bow puny": "an arrow from a small bow",
    "bow puny fire": "a burning arrow shot", "crossbow": "a crossbow shot",
    "crossbow fire": "a burning crossbow bolt", "sword": "a sword blow", "axe": "an axe blow", "mace": "a mace blow",
    "club": "a club blow", "staff": "a staff blow", "spear": "a spear thrust", "sling": "a sling shot",
    "sling big": "a big sling shot", "flail": "a flail blow", "fist": "a fist blow", "knife": "a knife stab",
    "throwing knife": "a thrown knife", "torch": "a blow with a torch", "thunderstick": "a thunderstick shot",
    "dragonstick": "a dragonstick shot", "lightning": "a lightning strike", "flame big": "a big flame",
    "ink": "ink being spat", "mud glob": "a glob of mud", "mud fist": "a fist of mud", "bite": "a bite",
    "bite small": "a small bite", "claws": "claws scratching", "pincers": "snapping pincers", "tail": "a tail lash",
    "tusker charge": "a wild boar charging", "melee fire": "a fight with fire", "magic missile": "a magic missile",
    "magic holy": "holy magic", "magic dark": "dark magic", "magic dark big": "powerful dark magic",
    "magic thorns": "magic thorns growing", "magic faeriefire": "fairy fire magic",
    "wose": "a tree creature attacking", "wose attack": "a tree creature attacking",
}  # fmt: skip
OTHERS = {
    "birds": "birds singing", "morning": "the morning in nature", "night": "the night in nature",
    "wardrums": "war drums", "campfire": "a campfire", "ship": "a creaking ship", "horn": "a horn signal",
    "gold": "gold coins", "potion": "a potion being drunk", "poison": "poison", "cave in": "a cave falling in",
    "rumble": "a rumble", "fuse": "a burning fuse", "explosion": "an explosion",
    "petrified": "someone turning to stone", "miss": "a blow that misses", "heal": "healing magic",
}  # fmt: skip


def clips(download: Path) -> Iterator[Clip]:
    root = folder(download, "wesnoth-1.*-data", "usr/share/games/wesnoth/*/data/core/sounds")
    for path in sorted(root.rglob("*.ogg")):
        yield _clip(path, path.relative_to(root))


def _clip(path: Path, place: Path) -> Clip:
    name = stem(path.stem)
    last = name.split()[-1]
    creature = name.rpartition(" ")[0]
    animal = any(a in name.split() for a in ANIMALS)
    where = "a fantasy strategy game"
    if last in ACTS and creature:
        who = CREATURES.get(creature, creature)
        does, doing = ACTS[last]
        captions = Captions().add("template", f"{article(who)} {does}", f"the voice of {article(who)} {doing}")
        captions.add("template", f"sound effect of {article(who)} {doing}", f"{article(who)} cries out and {does}")
        captions.add("filename", words(path.stem), name)
        captions.add("description", f"an actor or animal plays {article(who)} that {does}, in {where}")
        thing, event = who, f"{article(who)} {doing}"
    else:
        missed = last == "miss" and creature
        base = name.removesuffix(" miss") if missed else name
        event = WEAPONS.get(base) or OTHERS.get(base) or article(base)
        if missed:
            event = f"{event}, missing the target"
        captions = effect(event, words(path.stem), where, "weapon" if base in WEAPONS else "")
        thing = base
    human = creature.startswith("human")
    known = "an animal" if animal else "a human voice"
    return captions.clip(
        id=f"wesnoth-{re.sub(r'[^A-Za-z0-9]+', '-', str(place.with_suffix('')))}", audio=path, domain="sound",
        source="wesnoth", licence="GPL-2.0-or-later", labels={"thing": thing}, family=f"wesnoth-{name}",
        questions=[ask(f"Is {known} heard?", "yes" if animal or human else "no"),
                   ask("What is heard?", event), kind("sound"),
                   yes_no("Is it the sound of {}?", event, sorted(WEAPONS.values()), path.stem)],
    )  # fmt: skip
