"""Write a tiny corpus in the layout of TEMPLATE: two kinds of sound. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from audiotext.data.synthetic import main, mark, write_csv

RATE = 16000


def write(root: Path, seed: int = 0) -> int:
    """Write the corpus; returns how many clips."""
    mark(root)
    (root / "audio").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(40):
        kind, split = ("hiss", "tone")[index % 2], "test" if index >= 28 else "train"
        name = f"toy-{kind}-{index}.wav"
        hiss = rng.normal(0, 0.1, RATE)
        tone = 0.5 * np.sin(2 * np.pi * rng.uniform(200, 800) * np.arange(RATE) / RATE)
        soundfile.write(root / "audio" / name, hiss if kind == "hiss" else tone + 0.01 * hiss, RATE, subtype="PCM_16")
        rows.append([name, split, kind])
    write_csv(root / "meta.csv", [["filename", "split", "kind"], *rows])
    return len(rows)


if __name__ == "__main__":
    main(write)
