"""Anyone's own files: a folder with files.csv, as `audiotext prepare --from-csv` reads it, and the recordings it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from audiotext.data.corpus import Clip, Rejected
from audiotext.data.from_csv import clips_of_csv

TABLE = "files.csv"


def clips(root: Path) -> Iterator[Clip | Rejected]:
    """The clips that files.csv lists."""
    return clips_of_csv(root / TABLE)


def inputs(root: Path) -> list[Path]:
    """The table, and of the recordings it names those that are there."""
    named = {clip.audio.relative_to(os.path.abspath(root)) for clip in clips(root) if isinstance(clip, Clip)}
    return [root / TABLE, *(root / name for name in sorted(named) if (root / name).is_file())]
