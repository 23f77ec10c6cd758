"""Tables (CSV) of unknown quality: what is wrong with a row is named with file and line, and the others survive."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from audiotext.config import nearest
from audiotext.data.corpus import DataError, Rejected
from audiotext.data.lines import Line, read_lines
from audiotext.data.row import Row

ROW_LINES = 30  # a field in quotes may hold line breaks, and a row so be this many lines


def read_table(
    path: Path,
    columns: Iterable[str],
    unique: Sequence[str] = (),
    header: Sequence[str] = (),
    delimiter: str = ",",
    encoding: str = "utf-8",
    comment: str = "",
) -> Iterator[Row | Rejected]:
    """The rows of a table, in order; a Rejected stands where one is faulty.

    columns: what must be there, more may be. unique: columns that together may not repeat. header: names of the columns
    of a table without a line of names. comment: how lines begin that are none of the table.
    Raises DataError where the file is missing, empty, or lacks a column.
    """
    lines = (line for line in read_lines(path, encoding) if not comment or not line.text.startswith(comment))
    names = list(header)
    if not names:
        first = next(lines, None)
        if first is None:
            raise DataError(f"{path}: is empty; a line of column names is expected: {','.join(columns)}")
        names, fault = _split(first.text, delimiter) if not first.fault else ([], first.fault)
        if fault:
            raise DataError(f"{path}:{first.number}: {fault}; a line of column names is expected")
        names = [name.strip() for name in names]
    for column in columns:
        if column not in names:
            raise DataError(f"{path}: no column {column!r}; {nearest(column, names)}. Another version of the corpus?")
    seen: dict[tuple[str, ...], int] = {}
    number = 0
    for number, values, fault in _records(lines, len(names), delimiter):
        where = f"{path}:{number}"
        if not fault and unique:
            row = dict(zip(names, values, strict=True))
            key = tuple(row[name].strip() for name in unique)
            if (first_line := seen.setdefault(key, number)) != number:
                fault = f"duplicate row: {' '.join(key)} stands on line {first_line} already"
        yield Rejected(where, fault) if fault else Row(where, dict(zip(names, values, strict=True)))
    if header and not number:
        raise DataError(f"{path}: is empty; rows of {','.join(names)} are expected")


def _records(lines: Iterator[Line], width: int, delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """(line number, values, fault) of each row; after a faulty line the reading goes on with the next line."""
    ahead: list[Line] = []
    while True:
        line = ahead.pop(0) if ahead else next(lines, None)
        if line is None:
            return
        if line.fault:
            yield line.number, [], line.fault
            continue
        values, fault = _split(line.text, delimiter)
        if fault == OPEN:
            values, fault, used = _join(line, ahead, lines, delimiter)
        else:
            used = 0
        if not fault and len(values) != width:
            fault = f"wrong number of fields: {len(values)} where the table has {width}"
        if fault:
            yield line.number, [], fault
        else:
            del ahead[:used]
            yield line.number, values, ""


def _join(line: Line, ahead: list[Line], lines: Iterator[Line], delimiter: str) -> tuple[list[str], str, int]:
    """A row whose quoted field goes on over further lines: values, fault, and how many of ``ahead`` it took."""
    ahead += islice(lines, max(0, ROW_LINES - 1 - len(ahead)))
    text = line.text
    for used, following in enumerate(ahead, 1):
        if following.fault:
            break
        text += "\n" + following.text
        values, fault = _split(text, delimiter)
        if fault != OPEN:
            return values, fault, used
    return [], OPEN, 0


OPEN = "quoting fault: a quote is opened and not closed"


def _split(text: str, delimiter: str) -> tuple[list[str], str]:
    try:
        rows = list(csv.reader(chain([text]), delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error as error:
        return [], OPEN if "unexpected end of data" in str(error) else f"quoting fault: {error}"
    return rows[0] if rows else [], ""
