"""Write a tiny corpus in the layout of LibriSpeech: every letter is a tone of its own, so that spelling can be learnt;
an utterance of each part is not there. `python toy.py DIR`"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import soundfile

from audiotext.data.synthetic import main, mark

RATE = 16000
WORDS = ("BAD", "CAB", "DEED", "ACE", "FADE", "BEAD", "I'D", "FACE")
LETTERS = "".join(sorted(set("".join(WORDS))))
CHAPTERS = {"train-clean-100": "103/1240", "dev-clean": "84/12112", "test-clean": "61/70968", "test-other": "367/13073"}
UTTERANCES = {"train-clean-100": 32}
FEW = 6  # in the other parts


def write(root: Path) -> int:
    """Write the corpus; returns how many utterances its transcripts list."""
    mark(root)
    listed = 0
    for part, place in CHAPTERS.items():
        folder, name = root / part / place, place.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}-9999 DEAF"]
        for n in range(UTTERANCES.get(part, FEW)):
            rng = np.random.default_rng(zlib.crc32(f"{name} {n}".encode()))
            text = " ".join(rng.choice(WORDS, 2))
            soundfile.write(folder / f"{name}-{n:04d}.flac", speak(text, rng), RATE)
            lines.append(f"{name}-{n:04d} {text}")
        (folder / f"{name}.trans.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        listed += len(lines)
    return listed


def speak(text: str, rng: np.random.Generator) -> np.ndarray:
    """A tenth of a second for each letter, silence for a space, all in faint noise."""
    time = np.arange(RATE // 10) / RATE
    tones = [np.zeros(len(time)) if letter == " " else
             0.3 * np.hanning(len(time)) * np.sin(2 * np.pi * 300 * 1.3 ** LETTERS.index(letter) * time)
             for letter in text]  # fmt: skip
    sound = np.concatenate(tones)
    return sound + rng.normal(0, 0.003, len(sound))


if __name__ == "__main__":
    main(write)
