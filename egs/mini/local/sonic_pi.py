"""Sonic Pi: loops, drums, tabla, ambience and electronic blips (sonic-pi-samples, CC0-1.0), <group>_<name>.flac.

Its drums belong to the test of the probe drum_type; the other samples are training material.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drums import MEANING, SYNONYMS
from packages import folder
from phrases import Captions, article, ask, kind, pick, stem, words, yes_no

from audiotext.data.corpus import Clip

EXPECTED = {"train": 125, "test": 40}
# group -> (domain, phrasings of what it is; {} stands for the rest of the name)
GROUPS = {
    "ambi": ("music", "an ambient sound, {}", "a slow atmosphere for electronic music", "ambient music texture"),
    "bass": ("music", "a bass sound, {}", "a low synthesizer bass note", "electronic bass"),
    "bd": ("music", "a bass drum, {} style", "a kick drum", "an electronic kick"),
    "drum": ("music", "a drum, {}", "a hit on an acoustic drum kit", "acoustic drum sample"),
    "elec": ("music", "an electronic {}", "a short synthetic sound", "electronic percussion"),
    "glitch": ("music", "a glitch sound, {}", "a broken digital noise", "glitch music sample"),
    "guit": ("music", "a guitar, {}", "an electric guitar is played", "guitar sample"),
    "loop": ("music", "a loop of {} music", "a rhythm loop that repeats", "a drum loop of several beats"),
    "mehackit": ("music", "a synthetic {}", "a sound of an electronic toy", "electronic effect"),
    "misc": ("sound", "the sound of a {}", "a sound effect of a {}", "miscellaneous sound, {}"),
    "perc": ("music", "percussion, {}", "a percussion hit", "percussive {} sound"),
    "sn": ("music", "a snare drum, {} style", "an electronic snare", "snare sample"),
    "tabla": ("music", "a tabla stroke, {}", "an Indian hand drum", "tabla drum hit"),
    "vinyl": ("sound", "a vinyl record, {}", "the noise of a record on a turntable", "vinyl {}"),
}
NAMES = {  # the rest of a name in natural words, where it is short for something
    "808": "808", "em": "an E minor chord", "e fifths": "E fifths", "e slide": "a slide to E", "harmonics": "harmonics",
    "d printer": "3D printer", "amen": "Amen break", "amen full": "full Amen break", "perc": "percussion",
    "drone g": "G drone", "cineboom": "cinematic boom", "haus": "house", "klub": "club", "tek": "techno",
    "dnb f": "drum and bass", "drop c": "dropping C", "hard c": "hard C", "hit c": "short C", "thick c": "thick C",
    "trance c": "trance C", "voxy c": "voice like C", "voxy hit c": "voice like short C", "woodsy c": "woody C",
    "bass g": "bass G", "till": "cash till", "dub": "dub", "filt snare": "filtered snare", "hi snare": "high snare",
    "lo snare": "low snare", "tom hi hard": "high tom, hard", "tom hi soft": "high tom, soft",
    "tom lo hard": "low tom, hard", "tom lo soft": "low tom, soft", "tom mid hard": "middle tom, hard",
    "tom mid soft": "middle tom, soft", "cymbal closed": "closed hi hat", "cymbal open": "open hi hat",
    "cymbal pedal": "hi hat pedal", "cymbal hard": "cymbal, hard", "cymbal soft": "cymbal, soft",
    "splash hard": "splash cymbal, hard", "splash soft": "splash cymbal, soft", "lunar land": "lunar landscape",
    "bass hard": "hard bass drum", "bass soft": "soft bass drum", "dark woosh": "dark whoosh",
}  # fmt: skip


def clips(download: Path) -> Iterator[Clip]:
    root = folder(download, "sonic-pi-samples", "usr/share/sonic-pi/**/ambi_choir.flac").parent
    for path in sorted(root.glob("*.flac")):
        group = path.stem.split("_")[0]
        if group in GROUPS:
            yield _clip(path, group)


def drum(name: str) -> str:
    """The probe's label of a sample's name, or nothing where it is not clear."""
    if name.startswith("bd_") or name in ("drum_heavy_kick", "drum_bass_soft", "drum_bass_hard") or "_kick" in name:
        return "kick"
    if name.startswith("sn_") or "snare" in name:
        return "snare"
    if "_tom" in name:
        return "tom"
    return "hi hat" if name in ("drum_cymbal_closed", "drum_cymbal_open", "drum_cymbal_pedal") else ""


def _clip(path: Path, group: str) -> Clip:
    label, rest = drum(path.stem), stem(path.stem.partition("_")[2])
    rest = NAMES.get(rest, rest)
    domain, first, *more = GROUPS[group]
    captions = Captions()
    if label:
        captions.add("template", f"{article(label)} hit, {rest}", f"{article(pick(SYNONYMS[label], path.stem))} sample")
        captions.add("description", f"{MEANING[label]}, {article(label)}, struck once")
    captions.add("template", first.format(rest))
    captions.add("template", *(m.format(rest) for m in more))
    captions.add("filename", words(path.stem))
    captions.add("description", f"a sample for live coded music: {first.format(rest)}")
    known = {"guit": "guitar", "tabla": "tabla", "bass": "bass", "loop": "loop"}.get(group, label)
    about = [ask("Which drum is hit?", label)] if label else []
    if known:
        about.append(yes_no("Is it a {}?", known, ("guitar", "piano", "tabla", "kick", "loop"), path.stem))
    labels = {"drum_type": label} if label else {"sample_group": group}
    return captions.clip(
        id=f"sonic_pi-{path.stem}", audio=path, domain=domain, source="sonic_pi", licence="CC0-1.0",
        split="test" if label else "train", labels=labels, family=f"sonic_pi-{stem(path.stem)}",
        questions=[*about, kind(domain)],
    )  # fmt: skip
