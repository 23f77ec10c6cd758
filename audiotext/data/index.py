"""A manifest as a light index: where each cut stands in the file and the few fields that planning needs.

Cuts themselves are parsed only when loaded, so that a manifest of a million clips opens in seconds.
"""

from __future__ import annotations

import gzip
import json
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from lhotse import MonoCut
from lhotse.serialization import deserialize_item

from audiotext.data.corpus import DataError

LOG = logging.getLogger(__name__)


class ManifestIndex:
    """Random access to the cuts of a manifest (.jsonl, or .jsonl.gz held in memory).

    ids, domains, sources: one string per clip. durations: seconds (N,). caption_counts: captions per clip (N,).
    feature_dim: mel bins of the stored features, None where no features are attached.

    Raises DataError naming file and line for a cut that is not one, a duplicate id, or a caption that is missing
    (unless ``captions`` is false), empty or not text.
    """

    def __init__(self, path: str | Path, captions: bool = True):
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such manifest; run the stage that writes it, or check the path")
        self.ids: list[str] = []
        self.domains: list[str] = []
        self.sources: list[str] = []
        self.feature_dim: int | None = None
        durations, counts, self._offsets, seen = [], [], [], set()
        self._zipped = [] if self.path.suffix == ".gz" else None
        self._file: BinaryIO | None = None
        self._opened_by = 0
        for number, offset, line in self._lines():
            where = f"{self.path}:{number}"
            cut = _parsed(line, where)
            if cut["id"] in seen:
                raise DataError(f"{where}: the id {cut['id']!r} appears twice; ids must be unique")
            seen.add(cut["id"])
            custom = _supervision_custom(cut)
            counts.append(_count_captions(custom, captions, f"{where}: {cut['id']}"))
            durations.append(float(cut["duration"]))
            self.ids.append(cut["id"])
            self.domains.append(str(custom.get("domain") or "unknown"))
            self.sources.append(str(custom.get("source") or "unknown"))
            self._offsets.append(offset)
            if self.feature_dim is None and cut.get("features"):
                self.feature_dim = int(cut["features"]["num_features"])
        if not self.ids:
            raise DataError(f"{self.path}: the manifest has no clips")
        self.durations = np.asarray(durations)
        self.caption_counts = np.asarray(counts, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def cut(self, i: int) -> MonoCut:
        """Parse cut ``i``. Raises DataError where the file has changed since it was indexed."""
        if self._zipped is not None:
            line = self._zipped[i]
        else:
            if self._file is None or self._opened_by != os.getpid():  # forked processes would share one position
                self._file, self._opened_by = self.path.open("rb"), os.getpid()
            self._file.seek(self._offsets[i])
            line = self._file.readline()
        try:
            cut = deserialize_item(json.loads(line))
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise DataError(f"{self.path}: cannot read the cut {self.ids[i]!r}: {error}") from None
        if cut.id != self.ids[i]:
            raise DataError(f"{self.path}: the file changed while in use; start again")
        return cut

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        """(line number, byte offset, line) of every line that is not blank."""
        offset = 0
        with (gzip.open if self._zipped is not None else open)(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    if self._zipped is not None:
                        self._zipped.append(line)
                    yield number, offset, line
                offset += len(line)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_file": None}  # every process opens the file for itself


def _parsed(line: bytes, where: str) -> dict:
    try:
        cut = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not a line of JSON: {error}") from None
    if not isinstance(cut, dict) or cut.get("type") not in ("MonoCut", "MultiCut"):
        raise DataError(f"{where}: not a lhotse cut (expected an object with type MonoCut)")
    if not isinstance(cut.get("id"), str) or not cut["id"]:
        raise DataError(f"{where}: the cut has no id")
    duration = cut.get("duration")
    if isinstance(duration, bool) or not isinstance(duration, (int, float)) or not 0 < duration < math.inf:
        raise DataError(f"{where}: {cut['id']}: duration must be a number of seconds above zero, got {duration!r}")
    if not cut.get("recording") and not cut.get("features"):
        raise DataError(f"{where}: {cut['id']}: the cut has neither a recording nor features")
    return cut


def _supervision_custom(cut: dict) -> dict:
    supervisions = cut.get("supervisions") or [{}]
    return supervisions[0].get("custom") or {}


def _count_captions(custom: dict, needed: bool, where: str) -> int:
    captions = custom.get("caption", [])
    if not isinstance(captions, list):
        raise DataError(f"{where}: custom.caption must be a list of texts, got {captions!r}")
    for caption in captions:
        if not isinstance(caption, str) or not caption.strip():
            raise DataError(f"{where}: a caption is empty or not text: {caption!r}")
    if needed and not captions:
        raise DataError(f"{where}: the clip has no caption (supervisions[0].custom.caption)")
    return len(captions)
