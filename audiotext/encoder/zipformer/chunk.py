"""Chunks: how far a frame of a causal Zipformer may look (Yao et al. 2023; icefall's streaming recipe)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chunks:
    """Frames go by in chunks of ``size``; a frame sees its own chunk and ``left`` chunks before it.

    ``size`` None is one chunk, the whole clip; ``left`` None is all that came before.
    """

    size: int | None = None
    left: int | None = None

    @staticmethod
    def of(size: int, left_frames: int) -> Chunks:
        """From frame counts, where -1 has no limit; at least one chunk is seen on the left."""
        if size < 0:
            return Chunks()
        return Chunks(size, None if left_frames < 0 else max(1, left_frames // size))

    def at(self, factor: int) -> Chunks:
        """The same chunks where every ``factor`` frames became one."""
        return Chunks(self.size and self.size // factor, self.left)

    def hidden(self, time: int, device: torch.device) -> Tensor | None:
        """(T, T), True where the frame of the row may not see the frame of the column; None where all see all."""
        if self.size is None:
            return None
        chunk = torch.arange(time, device=device) // self.size
        ahead = chunk[None, :] - chunk[:, None]
        return ahead > 0 if self.left is None else (ahead > 0) | (ahead < -self.left)

    def place(self, lengths: Tensor, time: int) -> Place:
        """Where each frame of clips of ``lengths`` (B,) lies within its chunk; a short clip is one short chunk."""
        size = lengths if self.size is None else lengths.clamp(max=self.size)
        before = torch.arange(time, device=lengths.device) % size.unsqueeze(1)
        return Place(time if self.size is None else min(self.size, time), before, size.unsqueeze(1) - 1 - before)


class Place(NamedTuple):
    """``size`` of a chunk, and how many frames of its chunk lie ``before`` and ``after`` each frame, (B, T) both."""

    size: int
    before: Tensor
    after: Tensor
