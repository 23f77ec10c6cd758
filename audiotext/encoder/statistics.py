"""The floor: what plain statistics of the filterbanks say, with nothing learnt.

An encoder that learnt something must beat this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from audiotext.encoder.base import ENCODERS, Encoder
from audiotext.types import EncoderOutput, Padded, length_mask


@ENCODERS.register("statistics")
@dataclass
class StatisticsConfig:
    """Nothing to choose."""

    def build(self, feature_dim: int) -> StatisticsEncoder:
        return StatisticsEncoder(feature_dim)


class StatisticsEncoder(Encoder):
    """Mean, standard deviation and maximum of each band, and the standard deviation of its frame differences.

    One frame (B, 1, 4F) for a clip of any length. Variances are those of the population (divided by T).
    """

    subsampling = 0
    """No fixed rate: a clip becomes one frame."""

    def __init__(self, feature_dim: int):
        super().__init__()
        self.output_dim = 4 * feature_dim

    def forward(self, feats: Padded) -> EncoderOutput:
        x, valid = feats.data.float(), feats.mask().unsqueeze(-1)
        mean, std = _moments(x, valid)
        maximum = x.masked_fill(~valid, -torch.inf).amax(dim=1)
        _, delta_std = _moments(x[:, 1:] - x[:, :-1], length_mask(feats.lengths - 1, x.shape[1] - 1).unsqueeze(-1))
        frames = torch.cat([mean, std, maximum, delta_std], dim=-1).unsqueeze(1)
        return EncoderOutput(frames, torch.ones_like(feats.lengths), (frames,))


def _moments(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the valid frames of (B, T, F): two tensors (B, F)."""
    count = valid.sum(dim=1).clamp(min=1)
    mean = x.masked_fill(~valid, 0.0).sum(dim=1) / count
    spread = (x - mean.unsqueeze(1)).masked_fill(~valid, 0.0)
    return mean, (spread.square().sum(dim=1) / count).sqrt()
