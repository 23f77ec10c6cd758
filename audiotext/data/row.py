"""One row of a corpus' metadata: fields that are checked as they are asked for, and the place they stand in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audiotext.data.corpus import Clip, DataError, Rejected


@dataclass(frozen=True)
class Row:
    """Fields of one row. where: file:line. Every getter raises DataError naming place and field."""

    where: str
    fields: dict[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        """Text without white space around it; numbers are written out. An empty or missing one gives ``default``."""
        value = self.fields.get(name)
        if isinstance(value, (int, float)):
            value = str(value)
        if value is not None and not isinstance(value, str):
            raise self.fault(name, f"expected text, got {value!r:.80}")
        value = (value or "").strip()
        if not value and default is None:
            raise self.fault(name, "expected text, found nothing")
        return value or default or ""

    def texts(self, name: str) -> list[str]:
        """A list of texts; a plain text in its place is an error, since its letters would pass for captions."""
        value = self.fields.get(name)
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise self.fault(name, f"expected a list of texts, got {value!r:.80}")
        return [v.strip() for v in value if v.strip()]

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number, also where it is written as text."""
        value = self.text(name, "" if default is None else str(default))
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.fault(name, f"expected a number, got {value!r:.80}")
        return number

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number; 30.0 is one."""
        number = self.number(name, default)
        if number != int(number):
            raise self.fault(name, f"expected a whole number, got {number}")
        return int(number)

    def flag(self, name: str) -> bool:
        """True or false, also as 1 or 0, in any case."""
        value = self.text(name).lower()
        if value not in ("true", "false", "1", "0"):
            raise self.fault(name, f"expected true or false, got {value!r:.80}")
        return value in ("true", "1")

    def interval(self, start: str, end: str) -> tuple[float, float]:
        """Start and length in seconds of an interval given by start and end. Raises DataError for one that is empty."""
        first, last = self.number(start), self.number(end)
        if not 0 <= first < last:
            raise DataError(f"bad interval: {self.where}: {start} {first:g} and {end} {last:g}")
        return first, last - first

    def fault(self, name: str, problem: str) -> DataError:
        return DataError(f"bad field: {self.where}: {name}: {problem}")


def merged(rows: Iterable[Row | Rejected], by: Sequence[str], column: str) -> Iterator[Row | Rejected]:
    """Rows that agree in the columns ``by`` as one, at the place of the first; its ``column`` lists what each said."""
    together: dict[tuple[str, ...], Row] = {}
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        first = together.setdefault(tuple(row.text(name, "") for name in by), row)
        if first is row:
            row.fields[column] = [row.text(column, "")]
        else:
            first.fields[column].append(row.text(column, ""))
    yield from together.values()


def clips_of(
    rows: Iterable[Row | Rejected], make: Callable[[Row], Clip | Rejected], split: str = "train"
) -> Iterator[Clip | Rejected]:
    """``make`` of each row; what is wrong with a row, its text or a DataError of ``make``, rejects that row alone."""
    for row in rows:
        if isinstance(row, Rejected):
            yield replace(row, split=split)
            continue
        try:
            clip = make(row)
        except DataError as error:
            yield Rejected(row.where, str(error), split)
            continue
        yield replace(clip, where=row.where) if isinstance(clip, Clip) else clip
