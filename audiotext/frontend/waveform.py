"""The waveform itself in frames, for encoders that listen to samples."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from audiotext.config import ConfigError
from audiotext.frontend.base import FRONTENDS, Frontend
from audiotext.types import Padded, length_mask


@FRONTENDS.register("waveform")
@dataclass
class WaveformConfig:
    """A frame is 10 ms of samples, so cropping, batching and lengths work as they do for filterbanks."""

    sample_rate: int = 16000
    """Samples per second, a multiple of 100; audio is resampled to it."""

    def build(self) -> Waveform:
        if self.sample_rate < 100 or self.sample_rate % 100:
            raise ConfigError(f"waveform: sample_rate must be a multiple of 100, got {self.sample_rate}")
        return Waveform(self.sample_rate)


class Waveform(Frontend):
    """Waveforms (B, S) -> (B, T, F) with F samples in a frame and T = S // F; a last part of a frame is dropped.

    Storing these features (``audiotext features``, ``data.cache``) rounds samples to 16 bits of floating point.
    """

    def __init__(self, sample_rate: int):
        super().__init__()
        self.sample_rate = sample_rate
        self.feature_dim = sample_rate // 100

    def num_frames(self, num_samples: Tensor) -> Tensor:
        return num_samples // self.feature_dim

    def forward(self, waveform: Padded) -> Padded:
        total = waveform.data.shape[1] // self.feature_dim
        feats = waveform.data[:, : total * self.feature_dim].float().unflatten(1, (total, self.feature_dim))
        lengths = self.num_frames(waveform.lengths)
        return Padded(feats * length_mask(lengths, total).unsqueeze(-1), lengths)
