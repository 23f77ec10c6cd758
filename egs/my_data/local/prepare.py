"""Anyone's own files: a folder with files.csv, as `audiotext prepare --from-csv` reads it, and the recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from audiotext.data.corpus import Clip, Rejected
from audiotext.data.from_csv import clips_of_csv, inputs_of_csv

TABLE = "files.csv"
EXPECTED: dict[str, int] = {}  # nobody published these


def clips(root: Path) -> Iterator[Clip | Rejected]:
    """The clips that files.csv lists."""
    return clips_of_csv(root / TABLE)


def inputs(root: Path) -> list[Path]:
    """The table, and those of the recordings it names that are there."""
    return inputs_of_csv(root / TABLE)
