"""Minetest: footsteps, digging, doors, fire and water of a block building game (minetest-data, CC-BY-SA-3.0)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import ask, effect, kind, stem, yes_no

from audiotext.data.corpus import Clip

EXPECTED = {"train": 108}
EVENTS = {
    "break glass": "glass breaking", "dig snappy": "plants being cut", "dig choppy": "wood being chopped",
    "dig crumbly": "soil being dug", "dig cracky": "stone being hit with a pickaxe", "dig metal": "metal being hit",
    "dug metal": "a metal block coming loose", "dug node": "a block being dug out",
    "dig oddly breakable by hand": "a tap on something", "dig dig immediate": "a quick tap",
    "tool breaks": "a tool breaking", "chest open": "a chest opening", "chest close": "a chest closing",
    "cool lava": "lava hissing as it cools", "item smoke": "something going up in smoke",
    "furnace active": "a burning furnace", "place node": "a block being placed",
    "place node hard": "a hard block being placed", "place node metal": "a metal block being placed",
    "env sounds water": "flowing water", "env sounds lava": "bubbling lava",
    "gunpowder burning": "gunpowder burning", "ignite": "a fuse being lit", "explode": "an explosion",
    "fire extinguish flame": "a flame being put out", "fire small": "a small fire", "fire large": "a large fire",
    "fire flint and steel": "flint struck on steel", "fire fire": "a crackling fire",
    "cart moving": "a cart rolling on rails", "door open": "a wooden door opening",
    "door close": "a wooden door closing", "player damage": "a player being hurt",
    "glass door open": "a glass door opening", "glass door close": "a glass door closing",
    "fencegate open": "a fence gate opening", "fencegate close": "a fence gate closing",
    "steel door open": "a steel door opening", "steel door close": "a steel door closing",
    "steel bar door open": "a steel bar door opening", "steel bar door close": "a steel bar door closing",
    "gravel dig": "gravel being dug", "gravel dug": "gravel coming loose", "ice dig": "ice being hit",
    "ice dug": "ice breaking",
}  # fmt: skip

OTHERS = ("glass breaking", "an explosion", "a crackling fire", "a wooden door opening", "footsteps on snow",
          "flowing water")  # fmt: skip


def clips(download: Path) -> Iterator[Clip]:
    for path in sorted(folder(download, "minetest-data", "usr/share/games/minetest").rglob("*.ogg")):
        if "soundstuff" not in path.stem:
            yield _clip(path)


def _clip(path: Path) -> Clip:
    name = re.sub(r"^(default|doors|tnt|carts|xpanes) ", "", stem(path.stem))
    surface = re.fullmatch(r"(\w+) footstep", name)
    event = f"footsteps on {surface[1]} ground" if surface else EVENTS.get(name, name)
    if surface and surface[1] in ("wood", "metal", "grass", "glass", "snow", "sand", "ice", "dirt", "gravel"):
        event = f"footsteps on {surface[1]}"
    if surface and surface[1] == "water":
        event = "footsteps in water"
    group = next((g for g in ("water", "fire", "door", "lava", "glass") if g in name), "footsteps" if surface else "")
    captions = effect(event, name, "a block building game", group)
    if surface:
        captions.add("template", event.replace("footsteps", "someone walks"), f"steps, {surface[1]}")
    return captions.clip(
        id=f"minetest-{re.sub(r'[^A-Za-z0-9]+', '-', path.stem)}", audio=path, domain="sound", source="minetest",
        licence="CC-BY-SA-3.0", labels={"thing": name}, family=f"minetest-{name}",
        questions=[yes_no("Is {} heard?", event, OTHERS, path.stem), ask("What is heard?", event), kind("sound")],
    )  # fmt: skip
