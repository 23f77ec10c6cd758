"""Fish Fillets: two actors and their company talk, in Czech and Dutch (fillets-ng-data, GPL-2).

script/<level>/dialogs_<lang>.lua holds dialogId("id", "font", "English") dialogStr("local"); the recording is
sound/<level>/<lang>/<id>.ogg. The font says who speaks: font_small, font_big, or someone else.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import LANGUAGES, Captions, ask, draw_even, kind, yes_no

from audiotext.data.corpus import Clip

COUNT = 500
EXPECTED = {"train": COUNT}
SPEAKERS = {"font_small": ("the small fish", "a woman"), "font_big": ("the big fish", "a man")}
OTHERS = {
    "font_viking": "a viking", "font_statue": "a statue", "font_robodog": "a robot dog", "font_parrot": "a parrot",
    "font_crab": "a crab", "font_snail": "a snail", "font_linuxer": "a penguin fan", "font_elk": "an elk",
}  # fmt: skip
_LINE = re.compile(r'dialogId\("([^"]+)",\s*"([^"]+)",\s*"((?:[^"\\]|\\.)*)"\)\s*(?:dialogStr\("((?:[^"\\]|\\.)*)"\))?')


def clips(download: Path) -> Iterator[Clip]:
    scripts = folder(download, "fillets-ng-data", "usr/share/games/fillets-ng/script")
    groups = defaultdict(list)
    for code in ("cs", "nl"):
        sounds = folder(download, f"fillets-ng-data-{code}", "usr/share/games/fillets-ng/sound")
        for script in sorted(scripts.rglob(f"dialogs_{code}.lua")):
            level = script.parent.relative_to(scripts)
            for name, font, english, local in dialogs(script):
                path = sounds / level / code / f"{name}.ogg"
                if local and path.is_file():
                    who = font if font in SPEAKERS else "other"
                    groups[f"{code} {who}"].append((code, level.as_posix(), path, font, english, local))
    for item in draw_even(groups, COUNT, key=lambda item: f"{item[0]} {item[1]} {item[2].stem}"):
        yield _clip(*item)


def dialogs(script: Path) -> list[tuple[str, str, str, str]]:
    """(id, font, English, local text) of every line of a dialog script."""
    text = script.read_text(encoding="utf-8", errors="replace")
    return [tuple(re.sub(r"\\(.)", r"\1", part) for part in found) for found in _LINE.findall(text)]


def _clip(code: str, level: str, path: Path, font: str, english: str, local: str) -> Clip:
    language = LANGUAGES[code]
    who, person = SPEAKERS.get(font) or (OTHERS.get(font, "a strange creature"), "someone")
    tone = "asks" if english.rstrip().endswith("?") else "exclaims" if english.rstrip().endswith("!") else "says"
    place = "" if level.startswith("share") else f" in the level {level.replace('_', ' ').rstrip('0123456789')}"
    captions = Captions()
    captions.add("transcript", f'{who} {tone} in {language}: "{local}"')
    voice = f"{person}, {who}," if font in SPEAKERS else who
    captions.add("translation", f'{voice} {tone} in {language}, meaning "{english}"')
    captions.add("translation", f'{who} {tone}: "{english}"')
    captions.add("template", f"{person} speaks {language} as {who}", f"{who} speaks {language} in a computer game")
    captions.add("description", f"{person} plays {who}{place} and {tone} something in {language}",
                 f"clean studio recording of {person} who speaks {language}, the voice of {who}")  # fmt: skip
    return captions.clip(
        id=f"fillets-{code}-{level.replace('/', '-')}-{path.stem}", audio=path, domain="speech", source="fillets",
        licence="GPL-2.0", family=f"fillets-{level}-{path.stem}",
        labels={"language": language, "speaker": who.split(" ", 1)[1]},
        questions=[ask("What language is spoken?", language), kind("speech"),
                   ask("Who speaks?", person if font in SPEAKERS else who),
                   yes_no("Is {} spoken?", language, ("Czech", "Dutch", "English", "Russian"), path.stem)],
    )  # fmt: skip
