"""Where the files of a corpus lie: tables by the places publishers put them, recordings by their names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from audiotext.data.corpus import DataError

log = logging.getLogger(__name__)

AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".webm")  # of equal names the earlier is taken


def files_in(folder: Path) -> Iterator[Path]:
    """Every file below ``folder``, in order; links to folders are followed, each folder is entered once."""
    entered = set()
    for place, inner, names in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in entered:
            inner.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        inner.sort()
        yield from (Path(place, name) for name in sorted(names) if os.path.isfile(os.path.join(place, name)))


def find_file(root: Path, *patterns: str) -> Path:
    """The first file in ``root`` that one of ``patterns`` (glob) matches. Raises DataError saying what was expected."""
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            if path.is_file():
                return path
    held = ", ".join(sorted(p.name for p in root.iterdir())[:8]) if root.is_dir() else "there is no such folder"
    raise DataError(f"{root}: expected {' or '.join(patterns)} in it (see README.md); found {held or 'nothing'}")


def find_tables(root: Path, patterns: dict[str, list[str]]) -> dict[str, Path]:
    """Name of a part of a corpus -> its table, for the parts whose table is there; the others are left out, and told.

    Raises DataError where none is there.
    """
    found, first = {}, None
    for name, places in patterns.items():
        try:
            found[name] = find_file(root, *places)
        except DataError as error:
            first = first or error
            log.warning("%s: left out, since its table is not there: %s", name, " or ".join(places))
    if first and not found:
        raise first
    return found


def find_folder(root: Path, *patterns: str) -> Path:
    """The first folder in ``root`` that one of ``patterns`` matches, else the place of the first, so that what is not
    there counts as missing."""
    return next((p for pattern in patterns for p in sorted(root.glob(pattern)) if p.is_dir()), root / patterns[0])


def existing_folder(root: Path, *patterns: str) -> Path:
    """`find_folder` for corpora without a table. Raises DataError saying which folder was expected."""
    folder = find_folder(root, *patterns)
    if not folder.is_dir():
        raise DataError(f"{root}: expected the folder {' or '.join(patterns)} in it (see README.md)")
    return folder


def folders_named(root: Path, *names: str) -> list[Path]:
    """Every folder below ``root`` of one of these names, at any depth, for archives that unpack into deep trees."""
    found = []
    for place, inner, _ in os.walk(root):
        found += [Path(place, name) for name in sorted(inner) if name in names]
        inner[:] = sorted(name for name in inner if name not in names)
    return found


def inside(root: Path, name: str) -> Path:
    """``root``/``name``, checked to stay below ``root``. Raises DataError for an absolute path or one with ``..``."""
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or "\0" in name:
        raise DataError(f"unsafe path: {name!r:.200} leads out of {root}")
    return root / place


class Recordings:
    """The sound files below some folders, found by the stem of their name; each folder is walked once."""

    def __init__(self, folders: Iterable[Path], endings: tuple[str, ...] = AUDIO):
        self._paths: dict[str, Path] = {}
        for path in (p for folder in folders for p in files_in(folder) if p.suffix.lower() in endings):
            other = self._paths.setdefault(path.stem, path)
            if endings.index(path.suffix.lower()) < endings.index(other.suffix.lower()):
                self._paths[path.stem] = path

    def __len__(self) -> int:
        return len(self._paths)

    def names(self) -> set[str]:
        """The stems of all of them."""
        return set(self._paths)

    def find(self, stems: Iterable[str], expected: Path) -> Path:
        """The file of the first of ``stems`` that is there, else ``expected``, which coverage then counts missing."""
        return next((self._paths[stem] for stem in stems if stem in self._paths), expected)
