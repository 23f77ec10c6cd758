"""Hydrogen drum kits: single hits at several strengths (hydrogen-drumkits; the licence depends on the kit).

data/drumkits/<kit>/drumkit.xml names the instrument of every sample file, and the strengths that it is for. Probe
drum_type: six types; three kits, and Sonic Pi's drums, are the test. Other percussion of the test kits is left out, so
that no recording of those kits is in training.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from drums import MEANING, SYNONYMS, drum_type
from packages import folder
from phrases import Captions, article, ask, kind, pick, stem, words, yes_no

from audiotext.data.corpus import Clip

EXPECTED = {"train": 430, "test": 142}
TEST_KITS = ("ForzeeStereo", "Millo_MultiLayered2", "ElectricEmpireKit")
# kit -> (what it is, licence)
KITS = {
    "Audiophob": ("the Audiophob dubstep kit", "CC0-1.0"),
    "BJA_Pacific": ("the BJA Pacific acoustic kit", "CC-BY-SA-3.0"),
    "ColomboAcousticDrumkit": ("the Colombo acoustic kit of wooden drums", "GPL-2.0-or-later"),
    "ElectricEmpireKit": ("the Electric Empire synthesizer kit", "GPL-2.0-or-later"),
    "ForzeeStereo": ("the Forzee stereo kit", "GPL-2.0"),
    "Gimme A Hand 1.0": ("the Gimme A Hand percussion kit", "GPL-2.0"),
    "HardElectro1": ("the Hard Electro kit for house and techno", "GPL-2.0-or-later"),
    "Millo-Drums_v.1": ("the Millo Ludwig kit with a sixties sound", "GPL-2.0"),
    "Millo_MultiLayered2": ("the second Millo Ludwig kit", "GPL-2.0"),
    "Millo_MultiLayered3": ("the third Millo Ludwig kit", "GPL-2.0"),
    "The Black Pearl 1.0": ("the Black Pearl acoustic kit", "GPL-2.0"),
    "VariBreaks": ("the Vari Breaks synthesizer kit", "GPL-2.0-or-later"),
    "circAfrique v4": ("the Circ Afrique kit of African drums", "CC-BY-SA-3.0"),
    "rumpf_kit_z01_h2": ("the Rumpf analog kit", "CC-BY-3.0"),
}
ELECTRONIC = ("Audiophob", "ElectricEmpireKit", "HardElectro1", "VariBreaks", "rumpf_kit_z01_h2")
STRENGTHS = ("very soft", "soft", "medium", "hard", "very hard")
_NAMED = {"softest": 0, "soft": 1, "med": 2, "hard": 3, "hardest": 4}
_PLAIN = {"hh": "hi hat", "hihat": "hi hat", "hat": "hi hat", "hats": "hi hat", "bassdrum": "bass drum", "cl": "closed",
          "op": "open", "pd": "pedal", "hi": "high", "lo": "low", "lite": "light", "nz": "noise",
          "dist": "distorted"}  # fmt: skip


def clips(download: Path) -> Iterator[Clip]:
    root = folder(download, "hydrogen-drumkits", "usr/share/hydrogen/data/drumkits")
    for kit in KITS:
        for file, (instrument, strength) in sorted(samples(root / kit / "drumkit.xml").items()):
            label = drum_type(instrument)
            if (root / kit / file).is_file() and (label or kit not in TEST_KITS):
                yield _clip(kit, root / kit / file, instrument, strength, label)


def samples(path: Path) -> dict[str, tuple[str, int | None]]:
    """Sample file -> (instrument in plain words, strength 0..4 or None); samples without a real name are left out."""
    text = re.sub(r"\sxmlns(:\w+)?=\"[^\"]*\"|\sxsi:\w+=\"[^\"]*\"", "", path.read_text(encoding="utf-8"))
    found: dict[str, tuple[str, int | None]] = {}
    for node in ElementTree.fromstring(text).iter("instrument"):
        name = plain(node.findtext("name") or "")
        layers = [layer for layer in node.iter("layer") if layer.findtext("filename")]
        layers = layers or ([node] if node.findtext("filename") else [])  # kits of old versions have one sample each
        if not name or name.isdigit() or name.startswith("sample") or name in ("fx", "redo super opaco"):
            continue
        for layer in layers:
            file = layer.findtext("filename")
            if not file.startswith("emptySample"):
                found.setdefault(file, (name, _strength(file, layer, len(layers))))
    return found


def plain(name: str) -> str:
    """An instrument's name in natural words: no makers, notes or sizes; 'Hat 1 Op' -> 'open hi hat'."""
    name = re.sub(r"^[a-g]#?\d - |\(.*?\)|VariBreaks|Pearl |Sabian |Paiste |Zildjian |\d+inch|--|/", " ", name)
    kept = " ".join(_PLAIN.get(w, w) for w in words(name).split() if not w.isdigit())
    kept = re.sub(r"hi gh|high hi hat", "hi hat", kept).replace("high hat", "hi hat").replace("free", "loose")
    for how in ("semi open", "semiopen", "half open", "closed", "open", "opened", "pedal"):
        if kept == f"hi hat {how}" or kept.startswith(f"hi hat {how} "):
            kept = f"{how.replace('opened', 'open').replace('semiopen', 'half open')} hi hat" + kept[7 + len(how) :]
            break
    first, _, rest = kept.partition(" ")
    if kept.startswith("hi hat ") and kept[7:] in _BEFORE:
        kept = f"{kept[7:]} hi hat"
    elif first in ("kick", "snare", "tom", "crash", "ride", "bongo", "agogo", "woodblock") and rest in _BEFORE:
        kept = f"{rest} {first}"
    return kept.strip()


_BEFORE = ("jazz", "rock", "low", "mid", "high", "floor", "left", "right", "light", "noise", "old", "power", "hard",
           "distorted", "dry", "middle", "loose", "side")  # fmt: skip


def _strength(file: str, layer: ElementTree.Element, layers: int) -> int | None:
    named = _NAMED.get(Path(file).stem.rpartition("-")[2].lower())
    if named is not None or layers < 3:
        return named
    middle = (float(layer.findtext("min") or 0) + float(layer.findtext("max") or 1)) / 2
    return min(4, int(middle * 5))


def _clip(kit: str, path: Path, instrument: str, strength: int | None, label: str) -> Clip:
    of, licence = KITS[kit]
    hit = f"{STRENGTHS[strength]} " if strength is not None else ""
    sort = "electronic" if kit in ELECTRONIC else "acoustic"
    key = (kit, path.stem)
    captions = Captions()
    captions.add("template", f"{article(hit + 'hit')} on {article(instrument)} of {of}")
    if label:
        thing = pick(SYNONYMS[label], *key)
        captions.add("template", f"{article(hit + label)} hit", f"{article(thing)} played on {article(sort)} drum kit")
        captions.add("description", f"{MEANING[label]}, {article(label)}, struck once {_adverb(strength)}".strip(" ,"),
                     f"one {label} sample from a drum kit")  # fmt: skip
    else:
        captions.add("template", f"{article(instrument)}, a single {hit}hit",
                     f"percussion: {article(instrument)} struck {_adverb(strength) or 'once'}")  # fmt: skip
        captions.add("description", f"one sample of {of}, {article(instrument)}")
    captions.add("filename", f"{instrument} {hit}".strip(), _clean(path.stem))
    captions.add("template", f"{sort} {instrument}, one {hit}beat")
    return captions.clip(
        id=f"hydrogen-{stem(kit).replace(' ', '')}-{re.sub(r'[^A-Za-z0-9]+', '-', f'{kit[-1]}-{path.stem}')}",
        audio=path, domain="music", source="hydrogen", licence=licence,
        split="test" if label and kit in TEST_KITS else "train",
        labels={"drum_type": label, "kit": kit} if label else {"kit": kit},
        family=f"hydrogen-{kit}-{instrument}",
        questions=[ask("Which drum is hit?", label) if label else ask("Is it a percussion instrument?", "yes"),
                   yes_no("Is it a {}?", label or "drum", [*MEANING, "violin"], *key), kind("music")],
    )  # fmt: skip


def _adverb(strength: int | None) -> str:
    return "" if strength is None else ("very softly", "softly", "at medium strength", "hard", "very hard")[strength]


def _clean(name: str) -> str:
    """The file name where it holds words: not BD_08."""
    kept = [w for w in stem(name).split() if len(w) > 2]
    return " ".join(kept) if len(" ".join(kept)) > 3 and "beats" not in kept else ""
