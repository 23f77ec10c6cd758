"""The frontend contract: waveform -> features."""

from __future__ import annotations

from torch import Tensor, nn

from audiotext.config import Registry
from audiotext.types import Padded

FRONTENDS = Registry("frontend")


class Frontend(nn.Module):
    """Waveforms (B, S) in [-1, 1] with lengths in samples -> features (B, T, F) with lengths in frames.

    One implementation serves extraction, training, evaluation and export. A clip alone and the same clip in a
    padded batch give the same frames.
    """

    sample_rate: int = 16000
    feature_dim: int
    frame_shift: float = 0.01
    """Seconds between frames."""

    def forward(self, waveform: Padded) -> Padded:
        raise NotImplementedError

    def num_frames(self, num_samples: Tensor) -> Tensor:
        """Frames produced for that many samples, elementwise."""
        raise NotImplementedError
