"""lhotse Shar folders: cuts.000000.jsonl.gz beside recording.000000.tar and features.000000.tar, then 000001 and so on.

lhotse reads them from front to back. Here the archives' members are found once, so that the sound or the features of
any cut can be read at any time. Other fields are left alone: nothing here uses them.
"""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lhotse import MonoCut
from lhotse.serialization import deserialize_item
from lhotse.shar.utils import fill_shar_placeholder

from audiotext.data.corpus import DataError
from audiotext.data.progress import progress
from audiotext.data.scan import Scan, id_hash, joined, scan_held

_FIELDS = ("recording", "features")


@dataclass
class Archive:
    """Where the data and the description of each cut lie in a tar file: (N, 4) of start, size, start, size in bytes."""

    path: Path
    places: np.ndarray
    suffix: str = ""

    def fill(self, cut: MonoCut, field: str, i: int) -> None:
        """Give the cut its i-th member. Raises OSError or ValueError."""
        at, size, about_at, about_size = self.places[i].tolist()
        if not about_size:
            setattr(cut, field, None)
            return
        with self.path.open("rb") as file:
            data, about = os.pread(file.fileno(), size, at), os.pread(file.fileno(), about_size, about_at)
        value = deserialize_item(json.loads(about))
        fill_shar_placeholder(value, data, Path(f"data{self.suffix}"))
        setattr(cut, field, value)


class SharFolder:
    """The cuts and archives of a folder; ``lines`` holds one line of JSON per cut."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lines: list[bytes] = []
        self._firsts: list[int] = []
        self._shards: list[dict[str, Archive]] = []

    def scan(self) -> Scan:
        """Read all cuts and find their data. Raises DataError for a wrong line or archive."""
        files = sorted(self.folder.glob("cuts.*.jsonl*"))
        if not files:
            raise DataError(f"{self.folder}: a folder, but not one of lhotse Shar: it has no cuts.000000.jsonl.gz")
        return joined([self._scan(path) for path in progress(files, len(files), f"cuts of {self.folder.name}")])

    def fill(self, cut: MonoCut, i: int) -> None:
        """Give cut ``i`` of the folder its sound and features. Raises DataError."""
        shard = int(np.searchsorted(self._firsts, i, side="right")) - 1
        for field, archive in self._shards[shard].items():
            try:
                archive.fill(cut, field, i - self._firsts[shard])
            except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
                raise DataError(f"{archive.path}: cannot read the data of {cut.id!r}: {error}") from None

    def _scan(self, cuts: Path) -> Scan:
        self._firsts.append(len(self.lines))
        scan = scan_held(cuts, self.lines)
        number = cuts.name.split(".")[1]
        found = {field: sorted(self.folder.glob(f"{field}.{number}.tar*")) for field in _FIELDS}
        self._shards.append({field: _archive(paths[0], scan, cuts) for field, paths in found.items() if paths})
        return scan


def _archive(path: Path, scan: Scan, cuts: Path) -> Archive:
    places, hashes, suffix = [], [], ""
    try:
        with tarfile.open(path, "r:") as tar:
            members = iter(tar)
            for data, about in zip(members, members, strict=True):
                name = Path(data.name)
                there = name.suffix != ".nodata"
                places.append((data.offset_data, data.size, about.offset_data, about.size if there else 0))
                hashes.append(id_hash(str(name.parent / name.stem)))
                suffix = name.suffix if there else suffix
                tar.members = []  # tarfile would keep every member
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a tar file that is not compressed: {error}") from None
    if not np.array_equal(np.array(hashes, dtype=np.uint64), scan.columns["id"]):
        raise DataError(f"{path}: holds other clips, or in another order, than {cuts.name}; write the folder again")
    return Archive(path, np.array(places, dtype=np.int64), suffix)
