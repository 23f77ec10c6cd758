"""JSON metadata of unknown quality: one object a line, or one list of objects in a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from audiotext.config import nearest
from audiotext.data.corpus import DataError, Rejected
from audiotext.data.lines import read_lines
from audiotext.data.row import Row


def read_json_lines(path: Path, columns: Iterable[str], unique: Sequence[str] = ()) -> Iterator[Row | Rejected]:
    """The objects of a file with one a line; a Rejected stands where one is faulty, lacks or repeats a field.

    Raises DataError where the file is missing or no line of it is right.
    """
    return checked(path, ((f"{path}:{n}", value) for n, value in _parsed(path)), columns, unique)


def read_json_list(
    path: Path, columns: Iterable[str], unique: Sequence[str] = (), key: str = ""
) -> Iterator[Row | Rejected]:
    """The objects of the list that the file holds, by itself or under ``key``; places are entries, from 0.

    Raises DataError where the file is missing, is no JSON, holds no such list, or no entry of it is right.
    """
    tree = read_json(path)
    if key and isinstance(tree, dict):
        if key not in tree:
            raise DataError(f"{path}: no key {key!r}; {nearest(key, tree)}. Another version of the corpus?")
        tree = tree[key]
    if not isinstance(tree, list):
        raise DataError(f"{path}: expected a list of clips{f' under {key!r}' if key else ''}, got {tree!r:.80}")
    return checked(path, ((f"{path}[{i}]", value) for i, value in enumerate(tree)), columns, unique)


def read_json(path: Path) -> Any:
    """A JSON file as it is. Raises DataError naming file and line of what is no JSON."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; the README of the corpus says what should lie there")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg}; was the download cut short?") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: byte 0x{error.object[error.start]:02x} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON that can be read: {error}") from None


def _parsed(path: Path) -> Iterator[tuple[int, Any]]:
    for line in read_lines(path):
        if line.fault:
            yield line.number, DataError(line.fault)
            continue
        try:
            yield line.number, json.loads(line.text)
        except (ValueError, RecursionError) as error:
            yield line.number, DataError(f"not JSON: {error}")


def checked(
    path: Path, values: Iterable[tuple[str, Any]], columns: Iterable[str], unique: Sequence[str]
) -> Iterator[Row | Rejected]:
    """Entries (place, value) as rows; a Rejected stands where one is no object, lacks or repeats a field.

    Raises DataError where no entry is right. ``path`` is for that message.
    """
    columns, seen, good = list(columns), {}, 0
    first = ""
    for where, value in values:
        fault = str(value) if isinstance(value, DataError) else _fault(value, columns)
        if not fault and unique:
            key = tuple(str(value[name]).strip() for name in unique)
            if (before := seen.setdefault(key, where)) != where:
                fault = f"duplicate row: {' '.join(key)} stands in {before} already"
        first = first or fault
        good += not fault
        yield Rejected(where, fault) if fault else Row(where, value)
    if not good:
        raise DataError(f"{path}: no entry is right; the first: {first or 'nothing'}. Another version of the corpus?")


def _fault(value: Any, columns: list[str]) -> str:
    if not isinstance(value, dict):
        return f"bad entry: expected an object of keys and values, got {value!r:.80}"
    missing = [name for name in columns if name not in value]
    return f"missing field: {missing[0]!r}; {nearest(missing[0], value)}" if missing else ""
