"""The table of clips that sound like clips of an evaluation set: id, set, item, score, seconds, tab-separated."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from audiotext.atomic import replacing
from audiotext.curate.duplicates import connected
from audiotext.curate.evidence import Evidence
from audiotext.data.corpus import DataError

_COLUMNS = ["id", "set", "item", "score", "seconds"]


@dataclass(frozen=True, order=True)
class AudioMatch:
    """Clip ``id`` shares audio with ``item`` of ``set``. score: share of bits that agree over ``seconds``."""

    id: str
    set: str
    item: str
    score: float
    seconds: float


def write_matches(matches: Iterable[AudioMatch], path: Path) -> None:
    """By atomic rename, sorted."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(_COLUMNS)
        for match in sorted(matches):
            *names, score, seconds = astuple(match)
            table.writerow([*names, f"{score:.3f}", f"{seconds:.2f}"])


def read_matches(path: str | Path) -> dict[str, list[Evidence]]:
    """Training clip id -> what it sounds like. Raises DataError naming file and line."""
    found: dict[str, list[Evidence]] = {}
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, delimiter="\t")
            if next(rows, None) != _COLUMNS:
                raise DataError(f"{path}:1: expected a table of audio matches with the columns {' '.join(_COLUMNS)}")
            for row in rows:
                try:
                    id_, set_, item, score, seconds = row
                    detail = f"fingerprint {float(score):.2f} over {float(seconds):.1f} s"
                except ValueError:
                    raise DataError(f"{path}:{rows.line_num}: expected {len(_COLUMNS)} fields, the last two numbers, "
                                    f"got {row!r:.80}") from None  # fmt: skip
                found.setdefault(id_, []).append(Evidence(set_, item, "audio", detail))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; audiotext fingerprint --match writes it") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return found


def read_alike(path: str | Path) -> dict[str, int]:
    """Clip id -> number, from 1, of the clips that share audio with it or with one of those. Raises as read_matches."""
    pairs = [(id_, evidence.item) for id_, found in read_matches(path).items() for evidence in found]
    names, places = np.unique(np.array(pairs, dtype=np.str_).reshape(-1, 2), return_inverse=True)
    numbers = connected(places.reshape(-1, 2), len(names)) if pairs else []
    return {str(name): int(number) + 1 for name, number in zip(names, numbers, strict=True)}
