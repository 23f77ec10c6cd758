"""Write a tiny corpus in the layout of ESC-50: four kinds of sound, five folds, two takes. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from audiotext.data.synthetic import main, mark, write_csv

RATE = 44100
KINDS = {"rain": 10, "siren": 42, "clock_tick": 38, "wind": 16}  # with their published numbers
FOLDS, TAKES = 5, "AB"


def sound(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One second of it."""
    t = np.arange(RATE) / RATE
    hiss = rng.normal(0, 0.2, RATE)
    if kind == "siren":
        return 0.5 * np.sin(2 * np.pi * (rng.uniform(500, 800) * t + 40 * np.sin(2 * np.pi * 1.5 * t)))
    if kind == "clock_tick":
        return hiss * (((t * rng.uniform(4, 8)) % 1.0) < 0.05)
    if kind == "wind":
        return np.convolve(hiss, np.ones(200) / 50, mode="same") * (1 + np.sin(2 * np.pi * rng.uniform(1, 2) * t)) / 2
    return np.diff(hiss, prepend=0.0)


def write(root: Path, seed: int = 0) -> int:
    """Write the corpus; returns how many clips."""
    mark(root)
    (root / "audio").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = []
    for fold in range(1, FOLDS + 1):
        for kind, target in KINDS.items():
            for take in TAKES:
                name = f"{fold}-{fold * 1000 + target}-{take}-{target}.wav"
                wave = sound(kind, rng) + rng.normal(0, 1e-3, RATE)
                soundfile.write(root / "audio" / name, wave, RATE, subtype="PCM_16")
                rows.append([name, fold, target, kind, False, f"toy{fold * 1000 + target}", take])
    columns = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
    write_csv(root / "meta" / "esc50.csv", [columns, *rows])
    return len(rows)


if __name__ == "__main__":
    main(write)
