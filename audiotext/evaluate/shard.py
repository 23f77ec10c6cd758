"""Shards: files of the frames of some clips, from which those of one clip are read alone.

A safetensors file holds ``frames`` (all T'_i one after the other, D) in half or single precision, ``lengths`` (N,),
and in its metadata the ids. Clips are read by plain reads, not through a memory map, whose pages would count as this
process's memory until another needs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from audiotext.atomic import replacing
from audiotext.evaluate.frames import Frames

_HALF_LIMIT = 3e4
_TYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


@dataclass
class Shard:
    """An open shard: which ids it holds, and where their frames lie in it."""

    path: Path
    ids: list[str]
    lengths: list[int]
    width: int
    dtype: np.dtype
    offset: int
    """Bytes before the first frame."""

    @classmethod
    def open(cls, path: Path) -> Shard:
        """Reads everything but the frames. Raises ValueError for a file that is damaged or cut short."""
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                ids, lengths = json.loads(file.metadata()["ids"]), file.get_tensor("lengths").tolist()
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                about = json.loads(file.read(size))["frames"]
            (count, width), dtype = about["shape"], _TYPES[about["dtype"]]
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from None
        if len(ids) != len(lengths) or sum(lengths) != count:
            raise _damaged(path, f"{len(ids)} ids, {len(lengths)} lengths and {count} frames do not fit")
        return cls(path, ids, lengths, width, dtype, 8 + size + about["data_offsets"][0])

    @property
    def firsts(self) -> list[int]:
        """The number of each clip's first frame."""
        return np.cumsum([0, *self.lengths])[:-1].tolist()

    def read(self, first: int, count: int) -> Tensor:
        """Frames ``first`` to ``first + count`` (count, D). Raises ValueError where the file lost them since."""
        place = self.offset + first * self.width * self.dtype.itemsize
        try:
            values = np.fromfile(self.path, self.dtype, count * self.width, offset=place)
        except OSError as error:
            raise _damaged(self.path, error) from None
        if len(values) != count * self.width:
            raise _damaged(self.path, "it ends too early")
        return torch.from_numpy(values).view(count, self.width)

    def held(self) -> dict[str, Tensor]:
        """All of it, by id."""
        return {id_: self.read(*place) for id_, *place in zip(self.ids, self.firsts, self.lengths, strict=True)}


def write_shard(path: Path, found: dict[str, Tensor]) -> None:
    """Frames (T'_i, D) by id as one file, whole or not at all."""
    ids = list(found)
    tensors = {"frames": torch.cat([found[i] for i in ids]), "lengths": torch.tensor([len(found[i]) for i in ids])}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"ids": json.dumps(ids)})


def packed(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Half precision halves the disk; where a value does not fit (in some floors) all stay whole."""
    half = all(x.abs().max() < _HALF_LIMIT for x in found.values())
    return {id_: x.half() if half else x.float() for id_, x in found.items()}


def stored_frames(shards: Iterable[Shard], ids: Sequence[str]) -> tuple[Frames, list[str]]:
    """Frames of those of ``ids`` that any shard holds, in their order, and the ids that none does."""
    shards = list(shards)
    where = {
        id_: (n, first, length)
        for n, shard in enumerate(shards)
        for id_, first, length in zip(shard.ids, shard.firsts, shard.lengths, strict=True)
    }
    places = np.array([where[id_] for id_ in ids if id_ in where], dtype=np.int64).reshape(-1, 3)

    def read(i: int) -> Tensor:
        number, first, length = places[i].tolist()
        return shards[number].read(first, length)

    return Frames(read, places[:, 2].tolist()), [id_ for id_ in ids if id_ not in where]


def _damaged(path: Path, why: object) -> ValueError:
    return ValueError(f"{path}: damaged ({why}); delete it and run again")
