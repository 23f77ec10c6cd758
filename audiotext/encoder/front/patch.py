"""The cheapest front: neighbouring frames side by side, and one linear map."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from audiotext.config import ConfigError
from audiotext.encoder.front.base import FRONTS, Front, LevelNorm, ceil_div
from audiotext.types import Padded, length_mask


@FRONTS.register("patch")
@dataclass
class PatchConfig:
    """Stack ``subsampling`` frames and project them."""

    subsampling: int = 4
    """Input frames per output frame: any whole number from one up."""
    mean: float = -8.0
    """Typical level of a log-mel value, subtracted."""
    std: float = 4.0
    """Typical spread of a log-mel value, divided by."""

    def build(self, feature_dim: int, output_dim: int) -> PatchFront:
        return PatchFront(self, feature_dim, output_dim)


class PatchFront(Front):
    """T' = ceil(T / subsampling); a short last patch is filled with zeros."""

    def __init__(self, config: PatchConfig, feature_dim: int, output_dim: int):
        super().__init__()
        if config.subsampling < 1:
            raise ConfigError(f"front: subsampling must be at least 1, got {config.subsampling}")
        self.subsampling = config.subsampling
        self.norm = LevelNorm(config.mean, config.std)
        self.out = nn.Linear(config.subsampling * feature_dim, output_dim)
        self.out_norm = nn.LayerNorm(output_dim)

    def forward(self, feats: Padded) -> Padded:
        x, lengths = self.norm(feats), ceil_div(feats.lengths, self.subsampling)
        x = nn.functional.pad(x, (0, 0, 0, -x.shape[1] % self.subsampling))
        x = self.out_norm(self.out(x.reshape(x.shape[0], -1, self.out.in_features)))
        return Padded(x * length_mask(lengths, x.shape[1]).unsqueeze(-1), lengths)
