"""UFO: Alien Invasion: cries, weapons, footsteps, ambience (ufoai-sound, one zip; GPL-2+ and CC-BY-SA).

0snd.pk3 holds sound/<folder>/<name>.ogg. Probe game_sound: six kinds; the name stems of the test are not in training.
"""

from __future__ import annotations

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import Captions, article, ask, kind, number, stem, words, yes_no
from unpack import write_once

from audiotext.data.corpus import Clip

EXPECTED = {"train": 247, "test": 100}
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
GLUED = {  # words that file names run together, or shorten
    "alienatmo": "alien atmosphere", "alienbase": "alien base", "aliencom": "alien communication",
    "alienenergy": "alien energy", "alienmachinery": "alien machinery",
    "alienpowermachinery": "alien power machinery", "alienwormhole": "alien wormhole", "firesoft": "soft fire",
    "smallfire": "small fire", "waterfontain": "water fountain", "basealert": "base alert", "ufolost": "lost ufo",
    "ufospotted": "spotted ufo", "newmission": "new mission", "airlaser": "air laser", "airplasma": "air plasma",
    "bodyimpact": "body", "chaingun": "chain gun", "heavybolter": "heavy bolter", "heavyneedler": "heavy needler",
    "shotgunmini": "mini shotgun", "hmg": "heavy machine gun", "smg": "submachine gun", "taserdouble": "double taser",
    "ptl": "particle beam", "irgoggles": "infrared goggles", "medikit": "medical kit", "hoverheavy": "heavy hover gun",
    "psiattack": "mind attack", "lasercannon": "laser cannon", "ugv": "robot", "plasmaball": "plasma ball",
    "waterbullet": "water bullet", "femaledeath": "female death", "femalehurt": "female hurt",
    "maledeath": "male death", "malehurt": "male hurt", "civfemdeath": "civilian female death",
    "civfemscream": "civilian female scream", "civmaledeath": "civilian male death",
    "civmalehurt": "civilian male hurt", "alienflyby": "alien fly by", "humanflyby": "human fly by",
    "lobbyprivmsg": "private message", "roundstart": "round start", "breakglass": "glass breaking",
    "breakwood": "wood breaking", "breakmetal": "metal breaking", "breakelectric": "electric breaking",
    "hitground": "hitting the ground", "creak": "creaking", "droning": "drone", "exp": "explosion", "bullet": "",
    "electro": "electric", "cannon": "cannon",
}  # fmt: skip
FOOTSTEPS = {
    "crouch": ("someone crouching down", "the steps of someone who crouches"),
    "stand": ("someone standing up", "the steps of someone who stands up"),
    "hitting the ground": ("someone landing on the ground", "a body hits the ground"),
    "splash": ("footsteps splashing in water", "someone walks through a puddle"),
    "water in": ("someone stepping into water", "steps that go into water"),
    "water out": ("someone stepping out of water", "steps that come out of water"),
    "water under": ("someone moving under water", "steps under water"),
}
TOOLS = {
    "grenade bounce": "a bouncing grenade", "grenade pin": "the pin of a grenade being pulled",
    "infrared goggles": "infrared goggles being switched on", "medical kit": "a medical kit being used",
    "melee swoosh": "the swoosh of a blade", "melee throw": "a weapon being thrown", "mind attack": "a mind attack",
    "plasma blade": "a plasma blade", "robot cannon fire": "a robot cannon being fired",
    "robot laser cannon fire": "a robot laser cannon being fired", "rocket human": "a rocket being launched",
    "rocket plasma": "a plasma rocket being launched",
}  # fmt: skip
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


def _plain(name: str) -> str:
    """A file name in natural words, without its number: alienmachinery3 -> alien machinery."""
    base = words(re.sub(r"\d+[a-z]?$", "", Path(name).stem))
    spelt = (GLUED.get(w, w) for w in base.split() if not w.isdigit() and w not in ("x", "loop"))
    return " ".join(w for w in spelt if w)


def _event(name: str) -> tuple[str, str]:
    """(what is heard, a second wording) in natural words, from the folder and the name."""
    place, base = name.split("/")[0], _plain(name)
    if place in ("soldiers", "civilians"):
        who = "woman" if "female" in base else "man"
        act = "cries out while dying" if "death" in base else "screams" if "scream" in base else "cries out in pain"
        role = "soldier" if place == "soldiers" else "civilian"
        return f"a {who} {act}", f"a {'female' if who == 'woman' else 'male'} {role} {act}"
    if place == "aliens":
        act = {"attack": "attacks", "die": "dies", "hurt": "is hurt", "move": "moves"}[base.split()[0]]
        return f"an alien creature {act}", f"{article(words(name.split('/')[1]))} alien {act}"
    if place == "footsteps":
        return FOOTSTEPS.get(base, (f"footsteps on {base}", f"someone walks on {base}"))
    if place == "weapons":
        return _weapon(name, base)
    if game_sound(name) == "break":
        thing = "an electric device" if base.startswith("electric") else base.removesuffix(" breaking")
        return f"{thing} breaking", f"{thing} shatters into pieces"
    if place == "ambience":
        return f"the sound of {article(base)}", f"{article(base)} in the background"
    if place == "impact":
        thing, _, target = base.removesuffix(" impact").partition(" ")
        where = "a body" if target else "a hard surface"
        return f"{article(thing)} hitting {where}", f"the impact of {article(thing)} on {where}"
    if place == "ugv":
        engine, _, state = base.partition(" ")
        state = {"idle": "idling", "move": "moving", "stop": "stopping"}[state]
        return f"a {engine} robot vehicle {state}", f"the {engine} engine of a vehicle, {state}"
    if place == "doors":
        act = "closing" if "close" in base else "opening" if "open" in base else "creaking"
        return f"a door {act}", f"{article(act)} door"
    return f"{article(base)} signal", f"the {base} sound of a computer game"


def _weapon(name: str, base: str) -> tuple[str, str]:
    shots = re.search(r"-(\d+)x", name)
    burst = f"a burst of {shots[1]} shots" if shots and shots[1] != "1" else "a shot"
    if base in TOOLS:
        return TOOLS[base], f"{TOOLS[base]} in battle"
    if base.startswith("reload "):
        return f"{article(base[7:])} being reloaded", f"reloading {article(base[7:])}"
    if base.startswith("explosion"):
        sort = base.removeprefix("explosion").strip()
        return article(f"{sort} explosion".strip()), f"something explodes, {sort or 'loud'}"
    for size in ("huge", "large", "medium", "small", "big"):
        if base.endswith(f" {size}"):
            base = f"{size} {base.removesuffix(f' {size}')}"
    return f"{article(base)} being fired", f"{burst} of {article(base)}"


def _clip(name: str, path: Path, test: set[tuple[str, str]]) -> Clip:
    label, plain = game_sound(name), _plain(name)
    first, second = _event(name)
    captions = Captions().add("template", first, second)
    if label:
        this, scene, short = MEANING[label]
        captions.add("template", f"{this}: {first}", f"sound effect of {this}, {plain}")
        captions.add("filename", f"{label}, {plain}", plain)
        captions.add("description", f"{scene}, in a science fiction game about aliens", f"{short}: {second}")
        others = [this for this, _, _ in MEANING.values()]
        questions = [ask("What kind of sound is it?", label), yes_no("Is it {}?", this, others, name)]
    else:
        captions.add("template", f"sound effect of {first}")
        captions.add("filename", f"{words(name.split('/')[0])}, {plain}", plain)
        captions.add("description", f"a sound effect of a science fiction game: {first}")
        questions = [ask("What is heard?", first)]
    return captions.clip(
        id="ufoai-" + re.sub(r"[^\w]+", "-", name.removesuffix(".ogg")), audio=path, domain="sound", source="ufoai",
        licence="GPL-2.0-or-later", split="test" if (label, _stem(name)) in test else "train",
        labels={"game_sound": label} if label else {}, family=f"ufoai-{label or name.split('/')[0]}-{_stem(name)}",
        questions=[*questions, kind("sound")],
    )  # fmt: skip
