"""Where the files of a corpus lie: tables by the places publishers put them, recordings by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from audiotext.data.corpus import DataError

AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".webm")


def find_file(root: Path, *patterns: str) -> Path:
    """The first file in ``root`` that one of ``patterns`` (glob) matches. Raises DataError saying what was expected."""
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            if path.is_file():
                return path
    held = ", ".join(sorted(p.name for p in root.iterdir())[:8]) if root.is_dir() else "there is no such folder"
    raise DataError(f"{root}: expected {' or '.join(patterns)} in it (see README.md); found {held or 'nothing'}")


def inside(root: Path, name: str) -> Path:
    """``root``/``name``, checked to stay below ``root``. Raises DataError for an absolute path or one with ``..``."""
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in place.parts[:1] or "\0" in name:
        raise DataError(f"unsafe path: {name!r:.200} leads out of {root}")
    return root / place


class Recordings:
    """The sound files below some folders, found by the stem of their name; each folder is walked once."""

    def __init__(self, folders: Iterable[Path], endings: tuple[str, ...] = AUDIO):
        self.folders = [f for f in folders if f.is_dir()]
        self._paths: dict[str, Path] = {}
        for folder in self.folders:
            for place, inner, names in os.walk(folder, followlinks=True):
                inner.sort()
                for name in sorted(names):
                    stem, dot, ending = name.rpartition(".")
                    if dot and f".{ending.lower()}" in endings:
                        self._paths.setdefault(stem, Path(place, name))

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, stems: Iterable[str], expected: Path) -> Path:
        """The file of the first of ``stems`` that is there, else ``expected``, which coverage then counts missing."""
        return next((self._paths[stem] for stem in stems if stem in self._paths), expected)
