"""Arrays by name in one file that is opened by memory map.

The file begins with one line of JSON, padded with blanks: ``notes`` of the writer's choice and, for each array, its
type, its length and where its numbers lie after that line.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from audiotext.atomic import replacing

_ALIGN = 64


def write_columns(path: Path, columns: dict[str, np.ndarray], notes: dict[str, Any]) -> None:
    """Write arrays of one dimension, little-endian, by atomic rename. Raises OSError."""
    places, end = {}, 0
    for name, column in columns.items():
        places[name] = [column.dtype.newbyteorder("<").str, len(column), end]
        end = _aligned(end + column.nbytes)
    header = json.dumps({"notes": notes, "columns": places}).encode()
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(header.ljust(_aligned(len(header) + 1) - 1) + b"\n")
        for column in columns.values():
            column.astype(column.dtype.newbyteorder("<"), copy=False).tofile(file)
            file.write(bytes(_aligned(column.nbytes) - column.nbytes))
        file.flush()
        os.fsync(file.fileno())


def open_columns(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, notes); the arrays are read from the disk as they are used. Raises OSError or ValueError."""
    with path.open("rb") as file:
        header = file.readline()
    try:
        tree = json.loads(header)
        whole = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)[len(header) :]
        columns = {}
        for name, (kind, length, start) in tree["columns"].items():
            dtype = np.dtype(kind)
            columns[name] = whole[start : start + length * dtype.itemsize].view(dtype)
            if len(columns[name]) != length:
                raise ValueError(f"{name} is cut short")
        return columns, tree["notes"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a file of columns: {error!r}") from None


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
