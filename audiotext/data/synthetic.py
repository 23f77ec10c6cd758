"""Recordings for toy corpora: synthesised, each one its own, and a mark by which nobody takes them for real ones."""

from __future__ import annotations

import csv
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiotext.atomic import replacing
from audiotext.data.corpus import Clip, Rejected

MARK = "SYNTHESISED"  # a file of this name in a corpus folder


def write_recording(path: Path, seconds: float = 1.0, rate: int = 16000) -> Path:
    """A tone in noise that hangs on the name of file and folder; the ending (wav, flac, mp3) is the format."""
    rng = np.random.default_rng(zlib.crc32("/".join(path.parts[-2:]).encode()))
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 2000) * time) + rng.normal(0, 0.05, len(time))
    with replacing(path) as temporary:
        soundfile.write(temporary, wave, rate, format=path.suffix[1:].upper())
    return path


def write_csv(path: Path, rows: Iterable[Sequence[Any]], encoding: str = "utf-8", delimiter: str = ",") -> None:
    """Rows as a table, quoted where a value needs it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)


def write_json(path: Path, tree: Any) -> None:
    """A JSON file; one object a line where ``path`` ends in .jsonl."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) for row in tree] if path.suffix == ".jsonl" else [json.dumps(tree, indent=1)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(write: Callable[[Path], int]) -> None:
    """`python toy.py DIR`: write the toy corpus there and mark it."""
    if len(sys.argv) != 2:
        sys.exit("usage: toy.py DIR")
    root = Path(sys.argv[1])
    print(f"{root}: {write(root)} synthesised clips")


def mark(root: Path) -> None:
    """Mark a corpus folder as synthesised."""
    root.mkdir(parents=True, exist_ok=True)
    (root / MARK).write_text("The recordings here are synthesised; numbers from them mean nothing.\n", encoding="utf-8")


def told(clips: Iterable[Clip | Rejected], root: Path) -> Iterator[Clip | Rejected]:
    """The clips; where ``root`` is marked their source is ``toy``, which results and plots carry on their face."""
    synthesised = (root / MARK).is_file()
    for clip in clips:
        if synthesised and isinstance(clip, Clip):
            clip.source, clip.licence = "toy", "CC0-1.0"
        yield clip
