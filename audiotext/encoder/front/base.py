"""The front contract: filterbank frames -> fewer, wider frames that the layers of an encoder work on."""

from __future__ import annotations

from torch import Tensor, nn

from audiotext.config import ConfigError, Registry
from audiotext.types import Padded

FRONTS = Registry("front")


class Front(nn.Module):
    """Filterbanks (B, T, F) with lengths -> Padded (B, T', D); frames past the length are zero.

    Padding-invariant, as an encoder is. A config's ``build(feature_dim, output_dim)`` makes the front.
    """

    subsampling: int
    """Input frames per output frame."""

    def forward(self, feats: Padded) -> Padded:
        raise NotImplementedError


class LevelNorm(nn.Module):
    """Bring log-mel values near zero mean and unit variance with two fixed numbers, and zero the padding.

    Fixed numbers rather than statistics of the clip: loudness is information, and a batch must not change a clip.
    """

    def __init__(self, mean: float, std: float):
        super().__init__()
        if std <= 0:
            raise ConfigError(f"front: std must be positive, got {std}")
        self.mean, self.std = mean, std

    def forward(self, feats: Padded) -> Tensor:
        """(B, T, F) -> (B, T, F)."""
        return (feats.data - self.mean) * (feats.mask().unsqueeze(-1) / self.std)


def ceil_div(lengths: Tensor, divisor: int) -> Tensor:
    """Frames that remain when every ``divisor`` frames, the last group possibly short, become one."""
    return (lengths + divisor - 1).div(divisor, rounding_mode="floor")
