"""Write a folder as someone might have it: files.csv and recordings of hiss and tones. `python toy.py DIR`

In it are a recording with two captions, one with a comma in its name, a long one used in parts, one that is not there,
a row without a caption, and a path that leads out of the folder.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import soundfile

from audiotext.data.synthetic import mark

RATE = 16000
COLUMNS = ["audio", "caption", "split", "label", "start", "duration", "licence"]


def sound(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Hiss, or a tone of some pitch."""
    time = np.arange(round(seconds * RATE)) / RATE
    hiss = rng.normal(0, 0.1, len(time))
    return hiss if kind == "hiss" else 0.5 * np.sin(2 * np.pi * rng.uniform(200, 800) * time) + 0.01 * hiss


def write(root: Path, seed: int = 0) -> int:
    """Write the folder; returns how many clips it lists, good and bad."""
    (root / "recordings").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(40):
        kind, split = ("hiss", "tone")[index % 2], "test" if index >= 28 else ""
        name = f"recordings/{kind}, {index}.wav" if index == 3 else f"recordings/{kind}-{index}.wav"
        soundfile.write(root / name, sound(kind, 1.0, rng), RATE, subtype="PCM_16")
        words = "air hisses" if kind == "hiss" else "one long tone"
        rows.append([name, f"{words}, take {index}", split, kind, "", "", "CC0-1.0"])
        if index % 4 == 0:
            rows.append([name, f"the {kind} of take {index}", "", "", "", "", ""])
    soundfile.write(root / "recordings/long.flac", sound("tone", 4.0, rng), RATE)
    for start in (0, 2):
        rows.append(["recordings/long.flac", f"a tone from second {start}", "", "tone", start, 2, "CC0-1.0"])
    rows.append(["recordings/lost.wav", "it is not there", "", "hiss", "", "", "CC0-1.0"])
    rows.append(["recordings/hiss-0.wav", "", "", "hiss", "", "", "CC0-1.0"])
    rows.append(["../private.wav", "a path that leads out", "", "hiss", "", "", "CC0-1.0"])
    with (root / "files.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    mark(root)
    return 40 + 2 + 3


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: toy.py DIR")
    print(f"{sys.argv[1]}: {write(Path(sys.argv[1]))} synthesised clips")
