"""UFO: Alien Invasion: cries, weapons, footsteps, ambience (ufoai-sound, one zip; GPL-2+ and CC-BY-SA).

0snd.pk3 holds sound/<folder>/<name>.ogg. Probe game_sound: six kinds; the name stems of the test are not in training.
"""

from __future__ import annotations

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from audiotext.data.corpus import Clip
from packages import folder
from phrases import Captions, article, ask, kind, number, stem, words, yes_no
from unpack import write_once

EXPECTED = {"train": 240, "test": 97}
KINDS = {"soldiers": "human", "civilians": "human", "aliens": "alien", "weapons": "weapons", "ambience": "ambience",
         "footsteps": "footsteps"}  # fmt: skip
# kind -> phrases that say what it is
MEANING = {
    "human": ("a human voice", "a cry of a person in a fight", "human cry, no words"),
    "alien": ("an alien creature", "the voice of an alien monster", "alien creature noise"),
    "weapons": ("a weapon", "a weapon in a battle", "weapon sound"),
    "ambience": ("background ambience", "an atmosphere in the background", "ambient background sound"),
    "footsteps": ("footsteps", "someone walking", "steps on the ground"),
    "break": ("something breaking", "an object shattering", "breaking sound"),
}
TEST_SHARE = 1 / 3  # of each kind's clips, by whole stems


def clips(download: Path) -> Iterator[Clip]:
    archive = folder(download, "ufoai-sound", "usr/share/games/ufoai/base/0snd.pk3")
    files = unpack(archive, download / "unpacked" / "ufoai")
    test = _held_out(files)
    for name, path in files.items():
        yield _clip(name, path, test)


def unpack(archive: Path, out: Path) -> dict[str, Path]:
    """The ogg files of the archive, written once: name without sound/ -> path."""
    with zipfile.ZipFile(archive) as pack:
        names = sorted(n for n in pack.namelist() if n.endswith(".ogg"))
        return {n.removeprefix("sound/"): write_once(out / n.removeprefix("sound/"), lambda n=n: pack.read(n))
                for n in names}  # fmt: skip


def game_sound(name: str) -> str:
    """The probe's label of a file, or nothing."""
    place, file = name.split("/")[0], name.split("/")[-1]
    return "break" if place == "misc" and file.startswith("break") else KINDS.get(place, "")


def _stem(name: str) -> str:
    """Names that differ in a number or letter only share it: maledeath01, maledeath02; civmalehurt01a."""
    base = stem(re.sub(r"\d+[a-z]?$", "", Path(name).stem))
    return f"{Path(name).parts[1]} {base}" if name.startswith("aliens/") else base


def _held_out(files: dict[str, Path]) -> set[tuple[str, str]]:
    """(kind, stem) pairs for the test: whole stems in an order by hash, until a third of each kind is held out."""
    stems: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name in files:
        if game_sound(name):
            stems[game_sound(name)][_stem(name)] += 1
    test = set()
    for label, counts in stems.items():
        total, taken = sum(counts.values()), 0
        for one in sorted(counts, key=lambda s: number("ufoai stem", label, s)):
            if taken + counts[one] <= max(TEST_SHARE * total * 1.15, min(counts.values())):
                test.add((label, one))
                taken += counts[one]
    return test


def _event(name: str) -> tuple[str, str]:
    """(what is heard, a second wording) in natural words, from the folder and the name."""
    parts, base = name.split("/"), words(re.sub(r"\d+[a-z]?$", "", Path(name).stem))
    place = parts[0]
    if place in ("soldiers", "civilians"):
        who = "woman" if "fem" in base else "man"
        act = ("cries out while dying" if "death" in base else "screams" if "scream" in base else "cries out in pain")
        role = "soldier" if place == "soldiers" else "civilian"
        return f"a {who} {act}", f"a {'female' if who == 'woman' else 'male'} {role} {act}"
    if place == "aliens":
        act = {"attack": "attacks", "die": "dies", "hurt": "is hurt", "move": "moves"}[base.split()[0]]
        return f"an alien creature {act}", f"a {words(parts[1])} alien {act}"
    if place == "footsteps":
        return f"footsteps on {base}", f"someone walks on {base}"
    if place == "ugv":
        return f"a {base.split()[0]} driven robot vehicle, {base.split()[-1]}", f"vehicle engine, {base}"
    if place == "impact":
        return f"the impact of {article(base.removesuffix(' impact'))}", f"{base} of a projectile"
    if game_sound(name) == "break":
        material = base.removeprefix("break")
        thing = "an electric device" if material == "electric" else material
        return f"{thing} breaking", f"{material} shatters into pieces"
    if place == "weapons":
        base = re.sub(r"\b\d+ ?x\b", "", base).strip()
        if base.startswith("reload "):
            return f"{article(base[7:])} being reloaded", f"reloading {article(base[7:])}"
        if base.startswith("explosion"):
            return "an explosion", f"a {base.removeprefix('explosion').strip() or 'loud'} explosion"
        return f"{base} weapon being fired", f"{article(base)} shot"
    if place == "ambience":
        return f"the sound of {base}", f"{base} in the background"
    if place == "doors":
        act = "closing" if "close" in base else "opening" if "open" in base else "creaking"
        return f"a door {act}", f"{act} door"
    return f"{base} sound", f"{base} signal of a computer game"


def _clip(name: str, path: Path, test: set[tuple[str, str]]) -> Clip:
    label, base = game_sound(name), _stem(name)
    plain = re.sub(r" ?\b\d+\b", "", words(Path(name).stem)).strip()
    first, second = _event(name)
    captions = Captions().add("template", first)
    if label:
        this, scene, short = MEANING[label]
        captions.add("template", f"{this}: {plain}", f"sound effect of {this}, {first}", second)
        captions.add("filename", f"{label}, {plain}", words(f"{Path(name).parent.name} {Path(name).stem}"))
        captions.add("description", f"{scene}, in a science fiction game about aliens", f"{short}: {first}")
        questions = [ask("What kind of sound is it?", label),
                     yes_no("Is it the sound of {}?", label, list(MEANING), name)]  # fmt: skip
    else:
        captions.add("template", second, f"sound effect of {first}")
        captions.add("filename", words(f"{Path(name).parent.name} {Path(name).stem}"), plain)
        captions.add("description", f"a game sound effect: {first}")
        questions = []
    return captions.clip(
        id="ufoai-" + re.sub(r"[^\w]+", "-", name.removesuffix(".ogg")), audio=path, domain="sound", source="ufoai",
        licence="GPL-2.0-or-later", split="test" if (label, base) in test else "train",
        labels={"game_sound": label} if label else {}, family=f"ufoai-{label or name.split('/')[0]}-{base}",
        questions=[*questions, kind("sound")],
    )  # fmt: skip
