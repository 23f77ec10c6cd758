"""The only types that cross a border between packages.

Shape letters, used as suffixes and in docstrings: B batch, S samples, T frames, F mel bins, D encoder width,
E embedding width, U text tokens, V vocabulary, L layers, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Padded:
    """A batch of sequences padded to the longest: ``data`` (B, T, ...) and ``lengths`` (B,) in frames."""

    data: Tensor
    lengths: Tensor

    def mask(self) -> Tensor:
        """True where a position holds data: (B, T)."""
        return length_mask(self.lengths, self.data.shape[1])

    def to(self, device: torch.device | str) -> Padded:
        return Padded(self.data.to(device, non_blocking=True), self.lengths.to(device, non_blocking=True))


@dataclass(frozen=True)
class EncoderOutput:
    """What an encoder returns: last-layer ``frames`` (B, T, D), ``lengths`` (B,), and every layer's output.

    ``layers`` may hold tensors of other widths and rates than ``frames``; its last member is ``frames``.
    """

    frames: Tensor
    lengths: Tensor
    layers: tuple[Tensor, ...] = ()

    def mask(self) -> Tensor:
        return length_mask(self.lengths, self.frames.shape[1])


@dataclass(frozen=True)
class Batch:
    """Clips ready for a model.

    ids: B clip ids. feats: filterbanks (B, T, F) with lengths. captions: every caption of each clip.
    caption: the one chosen for this step. domains, sources: one word per clip.
    durations: seconds of audio per clip (B,).
    """

    ids: list[str]
    feats: Padded
    captions: list[list[str]]
    caption: list[str]
    domains: list[str]
    sources: list[str]
    durations: Tensor
    labels: list[dict] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        from dataclasses import replace

        return replace(self, feats=self.feats.to(device), durations=self.durations.to(device))


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B,) lengths -> (B, size) booleans, True inside the sequence."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]
