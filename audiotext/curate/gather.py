"""Second pass: a bucket -> its clips from all pieces, in the order of their ids, and which of them must not train.

What is written for a bucket: columns (ROW's; unit and at: the piece and the byte at which the line stands; alike: equal
for clips that share audio, 0 for those that share none), removed (what cleaning took, in order), leaks (lines of
leaks.tsv, in order).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audiotext.curate.evaluation_keys import EvaluationKeys
from audiotext.curate.evidence import Evidence
from audiotext.curate.ingest import LEAKS, ROW, TEST
from audiotext.curate.ranges import Manifest, located
from audiotext.data.columns import write_columns
from audiotext.data.corpus import DataError

ROWS, LINES, NAMES, REMOVED = range(4)  # of bounds


@dataclass
class Pieces:
    """What the first pass made. bounds: (pieces, 4, buckets + 1). codes: name -> (pieces of arrays) their own numbers
    of domains and sources -> those that all pieces share."""

    folders: list[Path]
    bounds: np.ndarray
    manifests: list[Manifest]
    codes: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def text(self, piece: int, name: str, kind: int, bucket: int) -> bytes:
        """What stands for a bucket in a file of a piece."""
        first, last = self.bounds[piece, kind, bucket : bucket + 2].tolist()
        if first == last:
            return b""
        with (self.folders[piece] / name).open("rb") as file:
            file.seek(first)
            return file.read(last - first)

    def rows(self, bucket: int) -> dict[str, np.ndarray]:
        """The columns of a bucket's clips, as they lie in the pieces."""
        parts, units, ats = [np.empty(0, ROW)], [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
        for piece, folder in enumerate(self.folders):
            first, last = self.bounds[piece, ROWS, bucket : bucket + 2].tolist()
            if first == last:
                continue
            part = np.array(np.load(folder / "rows.npy", mmap_mode="r")[first:last])
            for name, codes in self.codes.items():
                part[name] = codes[piece][part[name]]
            ends = self.bounds[piece, LINES, bucket] + np.cumsum(part["length"].astype(np.int64) + part["head"])
            parts.append(part)
            units.append(np.full(len(part), piece, np.uint32))
            ats.append(ends - part["length"])
        whole = np.concatenate(parts)
        columns = {name: whole[name] for name in ROW.names}
        return columns | {"unit": np.concatenate(units), "at": np.concatenate(ats)}


@dataclass
class Gather:
    """Puts a bucket in order. keys, matches: by which clips are found to be in evaluation sets. alike: id -> number of
    those that share audio with it."""

    pieces: Pieces
    keys: EvaluationKeys
    matches: dict[str, list[Evidence]]
    alike: dict[str, int]
    sources: list[str]

    def __call__(self, bucket: int, folder: Path) -> None:
        """Write ``folder``. Raises DataError for an id of two clips."""
        pieces = self.pieces
        columns = pieces.rows(bucket)
        parts = [pieces.text(i, "names", NAMES, bucket) for i in range(len(pieces.folders))]
        names = [line.split("\t") for line in b"".join(parts).decode().split("\n")[:-1]]
        order = sorted(range(len(names)), key=lambda i: names[i][0])
        self._order_repeated(order, names, columns)
        columns = {name: column[order] for name, column in columns.items()}
        columns["alike"] = np.array([self.alike.get(names[i][0], 0) for i in order], np.uint32)
        with (folder / "leaks").open("w", encoding="utf-8") as file:
            for row, i in enumerate(order):
                if columns["flags"][row] & TEST or not (found := self._evidence(*names[i])):
                    continue
                columns["flags"][row] |= LEAKS
                source = self.sources[columns["source"][row]]
                file.writelines(_tsv(names[i][0], source, e.set, e.item, e.kind, e.detail) for e in found)
        parts = [pieces.text(i, "removed", REMOVED, bucket) for i in range(len(pieces.folders))]
        removed = [json.loads(line) for part in parts for line in part.splitlines()]
        removed.sort(key=lambda r: (r["id"], r["reason"], r.get("caption", "")))
        with (folder / "removed").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in removed)
        write_columns(folder / "columns", columns, {})

    def _evidence(self, id: str, origin: str, sha256: str) -> list[Evidence]:
        found = self.keys.find(origin, sha256)
        return found + self.matches[id] if id in self.matches else found

    def _order_repeated(self, order: list[int], names: list[list[str]], columns: dict[str, np.ndarray]) -> None:
        """Clips of one id are one recording, from several manifests: they are put in the order of their lines."""
        first = 0
        while first < len(order) - 1:
            last = first + 1
            while last < len(order) and names[order[last]][0] == names[order[first]][0]:
                self._check_same(names[order[first]][0], order[first], order[last], columns)
                last += 1
            if last - first > 1:
                order[first:last] = sorted(order[first:last], key=lambda i: self._line(i, columns))
            first = last

    def _line(self, i: int, columns: dict[str, np.ndarray]) -> bytes:
        with (self.pieces.folders[columns["unit"][i]] / "lines").open("rb") as file:
            file.seek(int(columns["at"][i]))
            return file.read(int(columns["length"][i]))

    def _check_same(self, id: str, a: int, b: int, columns: dict[str, np.ndarray]) -> None:
        numbers = columns["manifest"]
        if numbers[a] == numbers[b]:
            manifest = self.pieces.manifests[numbers[a]]
            places = [located(manifest, offset) for offset in sorted(columns["offset"][[a, b]].tolist())]
            number = places[0].rpartition(":")[2]
            raise DataError(f"{places[1]}: id {id!r} stands on line {number} already; ids must be unique")
        if any(columns[name][a] != columns[name][b] for name in ("content0", "content1")):
            named = sorted(self.pieces.manifests[numbers[i]].name for i in (a, b))
            raise DataError(f"clip id {id!r} names different recordings in {' and '.join(named)}; ids must be unique")


def _tsv(*values: str) -> str:
    return "\t".join(" ".join(value.split()) for value in values) + "\n"
