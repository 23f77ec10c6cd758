"""Fish Fillets: two actors and their company talk, in Czech and Dutch, with English translation (fillets-ng-data, GPL-2).

script/<level>/dialogs_<lang>.lua holds dialogId("id", "font", "English") dialogStr("local"); the recording is
sound/<level>/<lang>/<id>.ogg. The font says who speaks: font_small, font_big, or someone else.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import soundfile

from audiotext.data.corpus import Clip
from packages import folder
from phrases import LANGUAGES, Captions, ask, draw_even, kind, yes_no

COUNT = 540
EXPECTED = {"train": COUNT}
SPEAKERS = {"font_small": "the small fish", "font_big": "the big fish"}
OTHERS = {"font_viking": "a viking", "font_statue": "a statue", "font_robodog": "a robot dog", "font_parrot": "a parrot",
          "font_crab": "a crab", "font_snail": "a snail", "font_linuxer": "a penguin fan", "font_elk": "an elk"}  # fmt: skip
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
                if local and path.is_file() and 0.4 <= soundfile.info(str(path)).duration <= 9:
                    who = SPEAKERS.get(font, "other")
                    groups[f"{code} {who}"].append((code, level.as_posix(), path, font, english, local))
    for item in draw_even(groups, COUNT, key=lambda item: f"{item[0]} {item[1]} {item[2].stem}"):
        yield _clip(*item)


def dialogs(script: Path) -> list[tuple[str, str, str, str]]:
    """(id, font, English, local text) of every line of a dialog script."""
    text = script.read_text(encoding="utf-8", errors="replace")
    return [tuple(re.sub(r"\\(.)", r"\1", part) for part in found) for found in _LINE.findall(text)]


def _clip(code: str, level: str, path: Path, font: str, english: str, local: str) -> Clip:
    language = LANGUAGES[code]
    who = SPEAKERS.get(font) or OTHERS.get(font, "a strange creature")
    tone = "asks" if english.rstrip().endswith("?") else "exclaims" if english.rstrip().endswith("!") else "says"
    place = "" if level.startswith("share") else f" in the level {level.replace('_', ' ').rstrip('0123456789')}"
    captions = Captions()
    captions.add("transcript", f'{who} {tone} in {language}: "{local}"')
    captions.add("translation", f'{who} {tone}: "{english}"', f'{language} speech that means "{english}"')
    captions.add("template", f"{who} speaks {language}", f"{language} speech of {who} in a computer game")
    captions.add("description", f"a voice actor plays {who}{place} and {tone} something in {language}",
                 f"clean studio speech in {language}, the voice of {who}")  # fmt: skip
    return captions.clip(
        id=f"fillets-{code}-{level.replace('/', '-')}-{path.stem}", audio=path, domain="speech", source="fillets",
        licence="GPL-2.0", family=f"fillets-{level}-{path.stem}", labels={"language": language, "speaker": who},
        questions=[ask("What language is spoken?", language), ask("Who speaks?", who), kind("speech"),
                   yes_no("Is {} spoken?", language, ("Czech", "Dutch", "English", "Russian"), path.stem)],
    )  # fmt: skip
