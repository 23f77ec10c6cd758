"""Tux Paint stamps: the sound of a thing, and its name spoken in many languages (tuxpaint-stamps-default, GPL-2).

stamps/**/X.ogg is a sound, X.txt its description (English first, then `<lang>.utf8=text`), X_desc_<lang>.ogg the
description spoken. Some sounds are the name spoken or belong to the picture only; those folders are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import LANGUAGES, Captions, animal_question, article, ask, draw_even, kind, words, yes_no

from audiotext.data.corpus import Clip

SPOKEN = 170
EXPECTED = {"train": SPOKEN + 83}
SOUNDS = ("animals", "household", "vehicles", "naturalforces", "hobbies")
MUSIC = "hobbies/music"
ODD = ("xanthia", "iguana", "pig_golden", "pig_golden2", "rubberduck", "bathyscape")  # named after the picture
GROUPS = {"birds": "bird", "insects": "insect", "dogs": "dog", "cats": "cat", "bovines": "farm animal",
          "aquatic": "sea animal", "equines": "hoofed animal", "rodents": "rodent",
          "deer": "deer", "apes": "ape"}  # fmt: skip


def clips(download: Path) -> Iterator[Clip]:
    root = folder(download, "tuxpaint-stamps-default", "usr/share/tuxpaint/stamps")
    groups = defaultdict(list)
    for text in sorted(root.rglob("*.txt")):
        names = descriptions(text)
        place = text.relative_to(root)
        path = text.with_suffix(".ogg")
        if path.is_file() and place.parts[0] in SOUNDS and place.stem not in ODD and names.get("en"):
            yield _sound(path, place, names["en"])
        for code, name in names.items():
            spoken = text.with_name(f"{text.stem}_desc.ogg" if code == "en" else f"{text.stem}_desc_{code}.ogg")
            if code in LANGUAGES and spoken.is_file():
                groups[code].append((code, spoken, place, name, names.get("en", "")))
    for item in draw_even(groups, SPOKEN, key=lambda item: f"{item[0]} {item[2]}"):
        yield _spoken(*item)


def descriptions(path: Path) -> dict[str, str]:
    """Language -> description; the first line is English."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    texts = {"en": lines[0].strip()}
    for line in lines[1:]:
        code, equals, text = line.partition(".utf8=")
        if equals and text.strip():
            texts[code] = text.strip()
    return texts


def _plain(description: str) -> str:
    text = description.strip(" .!")
    return text[:1].lower() + text[1:]


def _sound(path: Path, place: Path, description: str) -> Clip:
    name = words(path.stem)
    thing = _plain(description)
    if not thing.startswith(("a ", "an ")):  # a sentence of advice, not what is heard
        thing = article(name)
    animal, music = place.parts[0] == "animals", place.as_posix().startswith(MUSIC)
    captions = Captions().add("description", thing)
    if animal:
        group = next((GROUPS[p] for p in place.parts if p in GROUPS), "animal")
        captions.add("template", f"the call of {thing}", f"{thing} makes a noise", f"an animal, {thing}, is heard")
        captions.add("template", f"a recording of {article(group)}: {thing}")
    elif music:
        captions.add("template", f"{thing} is played", f"music on {thing}", f"the sound of {thing}, an instrument")
    else:
        captions.add("template", f"the sound of {thing}", f"sound effect of {thing}", f"{thing} is heard")
    captions.add("filename", name)
    domain = "music" if music else "sound"
    return captions.clip(
        id="tuxpaint-sound-" + "-".join(place.with_suffix("").parts), audio=path, domain=domain, source="tuxpaint",
        licence="GPL-2.0", labels={"thing": name}, family=f"tuxpaint-sound-{place.stem.rstrip('0123456789_')}",
        questions=[*animal_question(animal, str(place)), ask("What is heard?", thing), kind(domain)],
    )  # fmt: skip


def _spoken(code: str, path: Path, place: Path, text: str, english: str) -> Clip:
    language = LANGUAGES[code]
    captions = Captions()
    captions.add("transcript", f'someone says in {language}: "{text}"')
    if code != "en" and english:
        captions.add("translation", f'someone says in {language} that means "{english}"', f"spoken: {_plain(english)}")
    captions.add("template", f"a person speaks {language}", f"{language} speech, a short description of a picture")
    captions.add("description", f"a volunteer reads a few words in {language} for a drawing program")
    return captions.clip(
        id=f"tuxpaint-{code}-" + "-".join(place.with_suffix("").parts), audio=path, domain="speech", source="tuxpaint",
        licence="GPL-2.0", labels={"language": language}, family=f"tuxpaint-desc-{place.with_suffix('').as_posix()}",
        questions=[ask("What language is spoken?", language), kind("speech"),
                   yes_no("Is {} spoken?", language, sorted(set(LANGUAGES.values())), str(path))],
    )  # fmt: skip
