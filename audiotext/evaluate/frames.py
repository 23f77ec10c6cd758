"""Frozen frames of whole clips, held in memory or read from disk one clip at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from audiotext.types import EncoderOutput, Padded


@dataclass(frozen=True)
class EvalClip:
    """What a manifest says about a clip, without lhotse. family: of near-duplicates, one over corpora once curated."""

    id: str
    captions: list[str]
    labels: dict[str, Any]
    split: str
    family: str
    domain: str
    source: str
    duration: float
    questions: list[dict]

    @classmethod
    def from_cut(cls, cut: Any) -> EvalClip:
        custom = (cut.supervisions[0].custom or {}) if cut.supervisions else {}
        captions = custom.get("caption") or []
        return cls(
            id=cut.id,
            captions=[captions] if isinstance(captions, str) else list(captions),
            labels=custom.get("labels") or {},
            split=custom.get("split") or "train",
            family=custom.get("group") or custom.get("family") or cut.id,
            domain=custom.get("domain") or "",
            source=custom.get("source") or "",
            duration=cut.duration,
            questions=custom.get("questions") or [],
        )


class Frames(Sequence[Tensor]):
    """Frames (T'_i, D) of N clips, read whenever they are asked for.

    ``read(i)`` gives those of clip ``i`` of a whole set, ``lengths`` all its T'_i; ``places`` are the clips taken from
    it, all by default. Selections share ``kept``, the vectors that were computed of clips.
    """

    def __init__(
        self,
        read: Callable[[int], Tensor],
        lengths: Sequence[int],
        places: Sequence[int] | None = None,
        kept: dict[Callable, tuple[Tensor, bytearray]] | None = None,
    ):
        self._read, self._whole = read, lengths
        self._places = range(len(lengths)) if places is None else places
        self._kept = {} if kept is None else kept

    @classmethod
    def of(cls, frames: Sequence[Tensor]) -> Frames:
        """Frames that are in memory."""
        return frames if isinstance(frames, cls) else cls(frames.__getitem__, [len(x) for x in frames])

    @cached_property
    def lengths(self) -> list[int]:
        """T'_i of every clip; nothing is read for it."""
        return [self._whole[place] for place in self._places]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int | slice) -> Tensor | Frames:
        return self.select(range(len(self))[i]) if isinstance(i, slice) else self._read(self._places[i])

    def select(self, rows: Iterable[int]) -> Frames:
        return Frames(self._read, self._whole, [self._places[row] for row in rows], self._kept)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Frames:
        """``change`` of every clip's frames, when they are read; it must leave their number as it is."""
        return Frames(lambda place: change(self._read(place)), self._whole, self._places)

    def pooled(self, pool: Callable[[Tensor], Tensor]) -> Tensor:
        """``pool`` of every clip's frames (T'_i, D) in float32: (N, ...). No clip is read twice for one function: give
        one that has a name, not a new one each time.

        Raises ValueError where there is no clip.
        """
        if not len(self):
            raise ValueError("not one of the clips asked for has frames; the log says why they are missing")
        rows, known = self._kept.get(pool, (None, bytearray(len(self._whole))))
        with torch.inference_mode(False), torch.no_grad():  # what is kept outlives the caller's mode
            for place in self._places:
                if not known[place]:
                    row = pool(self._read(place).float())
                    rows = row.new_empty(len(self._whole), *row.shape) if rows is None else rows
                    rows[place], known[place] = row, True
        self._kept[pool] = rows, known
        return rows[list(self._places)]


@dataclass
class FrozenFrames:
    """Encoder frames of N clips: ``frames[i]`` (T'_i, D) belongs to ``clips[i]``. ``missing``: ids without frames.

    Frames that lie on disk are read anew at each use: what memory holds grows with N x D, not with their number.
    """

    clips: list[EvalClip]
    frames: Sequence[Tensor]
    missing: list[str]

    def __post_init__(self) -> None:
        self.frames: Frames = Frames.of(self.frames)

    @cached_property
    def ids(self) -> list[str]:
        return [clip.id for clip in self.clips]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {id_: i for i, id_ in enumerate(self.ids)}

    @property
    def dim(self) -> int:
        return self.frames[0].shape[1]

    @property
    def lengths(self) -> list[int]:
        """Frames of every clip, without reading them."""
        return self.frames.lengths

    def __len__(self) -> int:
        return len(self.clips)

    def select(self, ids: Iterable[str]) -> FrozenFrames:
        """The clips of ``ids`` in that order; those that have no frames go to ``missing``."""
        ids = list(ids)
        found = [self._positions[i] for i in ids if i in self._positions]
        missing = [i for i in ids if i not in self._positions]
        return FrozenFrames([self.clips[i] for i in found], self.frames.select(found), missing)

    def padded(self, indices: Sequence[int] | None = None) -> Padded:
        """Frames of some clips as float32 (B, T', D) with lengths; past the length they are zero."""
        return pad([self.frames[i] for i in (range(len(self)) if indices is None else indices)])

    def output(self, indices: Sequence[int] | None = None) -> EncoderOutput:
        """The same as an encoder would have returned it."""
        padded = self.padded(indices)
        return EncoderOutput(padded.data, padded.lengths, (padded.data,))

    def pooled(self, pool: Callable[[Tensor], Tensor]) -> Tensor:
        """As that of ``Frames``: a vector for each clip, (N, ...), computed once for a function and kept."""
        return self.frames.pooled(pool)

    def means(self) -> Tensor:
        """Mean over time: (N, D)."""
        return self.pooled(time_mean)

    @cached_property
    def _scale(self) -> tuple[Tensor, Tensor]:
        centre = self.means().mean(0)
        variance = torch.stack([(x.float() - centre).square().mean(0) for x in self.frames]).mean(0)
        return centre, torch.where(variance > 1e-10, variance.sqrt(), torch.ones_like(variance))

    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation over all frames, clips weighted alike: (D,), (D,). Constant columns get 1."""
        return self._scale

    def mapped(self, change: Callable[[Tensor], Tensor]) -> FrozenFrames:
        """``change`` of every clip's frames, when they are read; it must leave their number as it is."""
        return FrozenFrames(self.clips, self.frames.mapped(change), self.missing)

    def standardised(self, mean: Tensor, std: Tensor) -> FrozenFrames:
        """(x - mean) / std for every frame, as float32."""
        return self.mapped(lambda x: (x.float() - mean) / std)


def time_mean(frames: Tensor) -> Tensor:
    """(T', D) -> (D,)."""
    return frames.mean(0)


def pad(frames: Sequence[Tensor]) -> Padded:
    """Sequences (T_i, D) -> float32 (B, T, D) with lengths."""
    lengths = torch.tensor([len(x) for x in frames])
    return Padded(pad_sequence([x.float() for x in frames], batch_first=True), lengths)
