"""Kaldi-compatible log-mel filterbank, the default frontend.

Numbers agree with kaldi-native-fbank, kaldifeat, lhotse and torchaudio's ``compliance.kaldi`` to 1e-3 for the same
options. The ``torch`` backend is plain batched tensor code: it runs on any device and exports.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from audiotext.config import ConfigError
from audiotext.frontend.backends import load_backend
from audiotext.frontend.base import FRONTENDS, Frontend
from audiotext.types import Padded, length_mask

_BLOCK = 1024  # frames worked on at a time: the buffers of one block stay in the processor's cache


@FRONTENDS.register("fbank")
@dataclass
class FbankConfig:
    """Filterbank options, with Kaldi's meanings; times in milliseconds, frequencies in Hz."""

    num_mel_bins: int = 80
    """Above about 100 some low filters lie between two bins of the transform and stay constant."""
    backend: Literal["torch", "torchaudio", "kaldifeat", "kaldi-native-fbank"] = "torch"
    sample_rate: int = 16000
    frame_length: float = 25.0
    frame_shift: float = 10.0
    low_freq: float = 20.0
    high_freq: float = -400.0
    """Upper edge of the highest filter; a value of zero or less counts down from half the sample rate."""
    preemphasis: float = 0.97
    remove_dc_offset: bool = True
    dither: float = 0.0
    """Kaldi's random noise; must stay 0, so that stored features are the same everywhere."""

    @property
    def window(self) -> int:
        """Samples in a frame."""
        return int(self.sample_rate * self.frame_length / 1000)

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return int(self.sample_rate * self.frame_shift / 1000)

    @property
    def fft_size(self) -> int:
        return 1 << (self.window - 1).bit_length()

    @property
    def top_freq(self) -> float:
        return self.high_freq if self.high_freq > 0 else self.sample_rate / 2 + self.high_freq

    def build(self) -> Fbank:
        """Raises ConfigError where an option makes no sense or the backend is not installed."""
        if self.dither != 0:
            raise ConfigError(f"fbank: dither {self.dither} is not supported, features must be repeatable: set 0")
        if self.num_mel_bins < 3 or self.hop < 1 or self.window < self.hop:
            raise ConfigError(
                f"fbank: need num_mel_bins >= 3 and frame_length >= frame_shift, got {self.num_mel_bins} bins, "
                f"{self.frame_length} ms and {self.frame_shift} ms"
            )
        if not 0 <= self.low_freq < self.top_freq <= self.sample_rate / 2:
            raise ConfigError(
                f"fbank: filters from low_freq {self.low_freq} to high_freq {self.top_freq} Hz do not fit "
                f"between 0 and {self.sample_rate / 2} Hz"
            )
        return Fbank(self)


class Fbank(Frontend):
    """Log-mel filterbank with Kaldi's ``snip_edges=false``: S samples give ``(S + hop / 2) // hop`` frames.

    Frames are centred on their hop; at both ends the signal is mirrored, at each clip's own end rather than the
    batch's, so padding changes nothing. Frames past a clip's length are zero.
    """

    def __init__(self, config: FbankConfig):
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.feature_dim = config.num_mel_bins
        self.frame_shift = config.hop / config.sample_rate
        self._backend = None if config.backend == "torch" else load_backend(config)
        self.register_buffer("_window", povey_window(config.window), persistent=False)
        self.register_buffer("_mel", mel_filters(config), persistent=False)

    def num_frames(self, num_samples: Tensor) -> Tensor:
        return (num_samples + self.config.hop // 2) // self.config.hop

    def forward(self, waveform: Padded) -> Padded:
        wave, lengths = waveform.data.float(), waveform.lengths
        frames = self.num_frames(lengths)
        if self._backend is not None:
            return Padded(self._one_by_one(wave, lengths, frames), frames)
        total = (wave.shape[1] + self.config.hop // 2) // self.config.hop
        if total == 0:
            return Padded(wave.new_zeros(len(wave), 0, self.feature_dim), frames)
        mirrored = mirror_ends(wave, lengths, *self._margins())
        strided = mirrored.unfold(1, self.config.window, self.config.hop)[:, :total]
        clips = max(1, _BLOCK // total)
        blocks = [
            torch.cat([self._log_mel(part) for part in group.split(_BLOCK, dim=1)], dim=1)
            for group in strided.split(clips)
        ]
        feats = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        feats = feats.masked_fill_(~length_mask(frames, total)[:, :, None], 0.0)
        return Padded(feats, frames)

    def _margins(self) -> tuple[int, int]:
        """Samples mirrored before the start and after the end, as the outermost frames need."""
        left = (self.config.window - self.config.hop) // 2
        return left, self.config.window - self.config.hop // 2

    def _log_mel(self, frames: Tensor) -> Tensor:
        """Frames of samples (B, T, window) -> log-mel energies (B, T, F)."""
        x = frames - frames.mean(dim=-1, keepdim=True) if self.config.remove_dc_offset else frames
        # The window is zero at a frame's first sample, which is left out: a delay changes no power.
        x = torch.sub(x[..., 1:], x[..., :-1], alpha=self.config.preemphasis) * self._window[1:]
        spectrum = torch.fft.rfft(x, n=self.config.fft_size)
        power = torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)
        return (power @ self._mel).clamp_(min=torch.finfo(torch.float32).eps).log_()

    def _one_by_one(self, wave: Tensor, lengths: Tensor, frames: Tensor) -> Tensor:
        total = (wave.shape[1] + self.config.hop // 2) // self.config.hop
        feats = wave.new_zeros(len(wave), total, self.feature_dim)
        for i, (samples, count) in enumerate(zip(lengths.tolist(), frames.tolist(), strict=True)):
            if count:
                feats[i, :count] = self._backend(wave[i, :samples])[:count]
        return feats


def povey_window(size: int) -> Tensor:
    """A Hann window to the power 0.85 (Kaldi's ``povey``)."""
    n = torch.arange(size, dtype=torch.float64)
    return (0.5 - 0.5 * torch.cos(2 * math.pi * n / (size - 1))).pow(0.85).float()


def mel_filters(config: FbankConfig) -> Tensor:
    """Triangles on the mel scale ``1127 ln(1 + f / 700)``, as (fft_size / 2 + 1, F); the Nyquist row is zero."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log(1.0 + hertz / 700.0)

    low, high = (1127.0 * math.log(1.0 + hertz / 700.0) for hertz in (config.low_freq, config.top_freq))
    edges = torch.linspace(low, high, config.num_mel_bins + 2, dtype=torch.float64)
    half = config.fft_size // 2
    bins = mel(torch.arange(half, dtype=torch.float64) * (config.sample_rate / config.fft_size))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return pad(torch.minimum(rising, falling).clamp(min=0.0), (0, 0, 0, 1)).float()


def mirror_ends(wave: Tensor, lengths: Tensor, left: int, right: int) -> Tensor:
    """Waveforms (B, S) -> (B, left + S + right), each clip mirrored at its own two ends.

    Mirroring repeats the end sample, as Kaldi does, and folds as often as a very short clip needs.
    """
    size = wave.shape[1]
    n = lengths.clamp(min=1)[:, None]
    before = torch.arange(-left, 0, device=wave.device).expand(len(wave), left)
    after = n + torch.arange(right, device=wave.device)
    out = pad(wave, (left, right))
    out[:, :left] = wave.gather(1, _fold(before, n))
    return out.scatter_(1, left + after, wave.gather(1, _fold(after, n).clamp(max=size - 1)))


def _fold(index: Tensor, n: Tensor) -> Tensor:
    """Sample positions outside [0, n) -> where their mirror image lies inside."""
    index = index.remainder(2 * n)
    return torch.where(index < n, index, 2 * n - 1 - index)
