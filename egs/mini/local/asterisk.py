"""Asterisk: telephone prompts at 8 kHz by one speaker per language, with transcripts (CC-BY-SA-3.0).

asterisk-core-sounds-<lang>-wav holds the recordings, asterisk-core-sounds-<lang> the transcripts (`file: text`).
Probe telephone_speaker: 80 clips per speaker; the prompts of the test are not in training, in any language.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import soundfile
from packages import TELEPHONE, folder
from phrases import LANGUAGES, Captions, ask, draw, kind, number, words, yes_no

from audiotext.data.corpus import Clip

EXPECTED = {"train": 305, "test": 95}
# language -> (folder, name, woman or man, country)
SPEAKERS = {
    "en": ("en_US_f_Allison", "Allison", "woman", "American"),
    "es": ("es_MX_f_Allison", "Allison", "woman", "Mexican"),
    "fr": ("fr_CA_f_June", "June", "woman", "Canadian"),
    "it": ("it_IT_m_Carlo", "Carlo", "man", "Italian"),
    "ru": ("ru_RU_f_IvrvoiceRU", "Ivrvoice", "woman", "Russian"),
}
LABELS = {code: f"{name} in {LANGUAGES[code]}" for code, (_, name, _, _) in SPEAKERS.items()}
TRAIN, TEST, HELD_OUT = 61, 19, 24


def clips(download: Path) -> Iterator[Clip]:
    english = transcripts(download, "en")
    for code in TELEPHONE:
        texts = transcripts(download, code)
        root = folder(download, f"asterisk-core-sounds-{code}-wav", f"usr/share/asterisk/sounds/{SPEAKERS[code][0]}")
        usable = [p for p in texts if _usable(root / f"{p}.wav")]
        for split, count in (("train", TRAIN), ("test", TEST)):
            for prompt in draw([p for p in usable if held_out(p) == (split == "test")], count, seed=code):
                translated = english.get(prompt, "") if code != "en" else ""
                yield _clip(code, prompt, root / f"{prompt}.wav", texts[prompt], translated, split)


def transcripts(download: Path, code: str) -> dict[str, str]:
    """prompt -> what is said; tones and silences, written in brackets, are left out."""
    package = f"asterisk-core-sounds-{code}"
    path = folder(download, package, f"usr/share/doc/{package}/core-sounds-{code}.txt*")
    opener = gzip.open if path.suffix == ".gz" else open
    texts = {}
    with opener(path, "rt", encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            name, colon, text = line.strip().partition(":")
            text = " ".join(text.split()).strip('"')
            if colon and not name.startswith(";") and text and "[" not in text and "(" not in text:
                texts[name.strip()] = text
    return texts


def held_out(prompt: str) -> bool:
    return number("asterisk prompt", prompt) % 100 < HELD_OUT


def _usable(path: Path) -> bool:
    return path.is_file() and 0.4 <= soundfile.info(str(path)).duration <= 12


def _clip(code: str, prompt: str, path: Path, text: str, translated: str, split: str) -> Clip:
    _, name, who, country = SPEAKERS[code]
    language, label = LANGUAGES[code], LABELS[code]
    their = "her" if who == "woman" else "his"
    captions = Captions()
    captions.add("transcript", f'{label}, a {who} on the telephone, says: "{text}"')
    captions.add("translation", f'a {who} says in {language}, meaning "{translated}"' if translated else "")
    captions.add("template", f"a {who} speaks {language} on the telephone", f"{label}, telephone prompt")
    captions.add("template", f"{name}, {'an' if country[0] in 'AI' else 'a'} {country} {who}, speaks {language}")
    captions.add("description", f"{language} speech of a {who} over a narrow telephone line",
                 f"the telephone system announces in {language}, in the voice of {name}",
                 f"{name} reads a telephone announcement in {their} clear {language} voice")  # fmt: skip
    captions.add("filename", f"{language} telephone voice, {words(prompt)}")
    return captions.clip(
        id=f"asterisk-{code}-{prompt.replace('/', '-')}", audio=path, domain="speech", source="asterisk",
        licence="CC-BY-SA-3.0", split=split, family=f"asterisk-{prompt}",
        labels={"telephone_speaker": label, "language": language, "gender": who},
        questions=[ask("What language is spoken?", language), ask("Is the speaker a man or a woman?", who),
                   yes_no("Is {} spoken?", language, [LANGUAGES[c] for c in TELEPHONE], prompt), kind("speech")],
    )  # fmt: skip
