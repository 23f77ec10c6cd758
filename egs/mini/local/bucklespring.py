"""Bucklespring: keys of an old keyboard (bucklespring-data, GPL-2+), wav/<scan code>-<1 down, 0 up>.wav. 40 of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import ask, draw, effect, kind, number, yes_no

from audiotext.data.corpus import Clip

COUNT = 40  # they are all alike
EXPECTED = {"train": COUNT}
BIG = {"39": "space bar", "1c": "return key", "0e": "backspace key", "2a": "left shift key", "36": "right shift key",
       "0f": "tab key", "3a": "caps lock key", "01": "escape key"}  # fmt: skip


def clips(download: Path) -> Iterator[Clip]:
    root = folder(download, "bucklespring-data", "usr/share/buckle/wav")
    for path in draw(sorted(root.glob("*-[01].wav")), COUNT, key=lambda p: p.name):
        yield _clip(path)


def _clip(path: Path) -> Clip:
    code, down = path.stem.split("-")
    key = BIG.get(code, "key")
    done = "pressed" if down == "1" else "released"
    captions = effect(f"a keyboard {key} being {done}", f"keyboard {key} {'down' if down == '1' else 'up'}")
    captions.add("description", f"one click of an old mechanical keyboard with buckling springs, a {key} {done}")
    captions.add("template", "typing on a keyboard", f"the {key} of a mechanical keyboard is {done}")
    return captions.clip(
        id=f"bucklespring-{path.stem}", audio=path, domain="sound", source="bucklespring", licence="GPL-2.0-or-later",
        labels={"thing": "keyboard"}, family=f"bucklespring-{'big' if code in BIG else number('key', code) % 8}",
        questions=[yes_no("Is it the sound of a {}?", "keyboard", ("dog", "piano", "door"), path.stem),
                   ask("What is heard?", "a keyboard"), kind("sound")],
    )  # fmt: skip
