"""Write a tiny corpus in the layout of AudioSet-strong: tones that begin and end, several a clip, labels and names with
commas, ids that begin with - and _, classes of one part only, a recording that is not there, one that ends too early.
`python toy.py DIR`"""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import numpy as np
import soundfile

from audiotext.data.synthetic import main, mark, write_csv

NAMES = {"/m/0bt9lr": "Dog", "/m/06mb1": "Rain", "/m/0912c9": "Vehicle horn, car horn, honking",
         "/m/07r660_": "Only in training", "/m/09d5_": "Only in evaluation"}  # fmt: skip
HERTZ = dict(zip(NAMES, (300, 900, 2000, 3000, 3500), strict=True))
SECONDS, RATE = 3.0, 16000
PARTS = {"train": 24, "eval": 10}
ONLY = {"train": "/m/07r660_", "eval": "/m/09d5_"}
Event = tuple[float, float, str]


def write(root: Path) -> int:
    """Write the corpus; returns how many segments its tables list."""
    mark(root)
    draw, listed = random.Random(0), 0
    for part, count in PARTS.items():
        rows: list[list] = [["segment_id", "start_time_seconds", "end_time_seconds", "label"]]
        for n in range(count):
            video = f"{('-', '_', 'Y', 'a')[n % 4]}{part}{n:0{10 - len(part)}d}"
            start = 10 * n
            events = [_event(draw, mid) for mid in draw.sample(list(NAMES)[:3], 1 + n % 2)]
            if n == 3:
                events.append(_event(draw, ONLY[part]))
            if n != 1:  # which is not to be had any more
                write_recording(root / "audio" / part / f"Y{video}_{start:06d}.wav", events if n != 2 else [])
            else:
                events[0] = (0.0, 2.0, events[0][2])
            if n == 2 and part == "train":
                events[0] = (2.5, 9.0, events[0][2])  # while the recording ends after three seconds
            rows += [[f"{video}_{1000 * start}", f"{on:.3f}", f"{off:.3f}", mid] for on, off, mid in events]
        listed += count
        write_csv(root / f"audioset_{part}_strong.tsv", rows, delimiter="\t")
    write_csv(root / "mid_to_display_name.tsv", NAMES.items(), delimiter="\t")
    return listed


def _event(draw: random.Random, mid: str) -> Event:
    onset = round(draw.uniform(0, 1.8), 3)
    return onset, round(onset + draw.uniform(0.6, 1.2), 3), mid


def write_recording(path: Path, events: list[Event]) -> Path:
    """Noise, and in each event the tone of its class."""
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    time = np.arange(round(SECONDS * RATE)) / RATE
    wave = rng.normal(0, 0.02, len(time))
    for onset, offset, mid in events:
        wave += 0.2 * np.sin(2 * np.pi * HERTZ[mid] * time) * ((onset <= time) & (time < offset))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, RATE)
    return path


if __name__ == "__main__":
    main(write)
