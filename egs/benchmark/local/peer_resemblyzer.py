"""Resemblyzer's speaker encoder: a GE2E LSTM (Wan et al. 2018, arXiv 1710.10467) in plain torch.

A frame of it is what the package calls a partial: the embedding of 1.6 s. Their mean, brought to length one, is the
package's embedding of an utterance. Of the package's preprocessing the volume is raised as there; silence is not cut
out, since its detector of voices would leave nothing of a drum.
"""

from __future__ import annotations

import math

import torch
from peer_weights import read_weights
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

RATE, WINDOW, HOP, BANDS = 16000, 400, 160, 40
SPAN = 160  # mel frames of a partial
STEP = 77  # mel frames between partials: 1.3 a second
COVERAGE = 0.75  # a last partial with less sound is left out
VOLUME = 10 ** (-30 / 20)  # root mean square to which quieter clips are raised
WIDTH = 256


class Resemblyzer(nn.Module):
    """Waveforms (b, S) at 16 kHz -> the three LSTM layers' last states and the embedding, each (b, partials, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstms = nn.ModuleList(nn.LSTM(BANDS if n == 0 else WIDTH, WIDTH, batch_first=True) for n in range(3))
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.register_buffer("filters", slaney_filters(RATE, WINDOW, BANDS), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def load_pretrained(self) -> None:
        """Raises ConfigError where the package is not installed."""
        state = read_weights("Resemblyzer==0.1.4", "pretrained.pt")["model_state"]
        for n, lstm in enumerate(self.lstms):
            own = {f"{k}_l0": state[f"lstm.{k}_l{n}"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
            lstm.load_state_dict(own)
        self.linear.load_state_dict({k: state[f"linear.{k}"] for k in ("weight", "bias")})

    def forward(self, wave: Tensor) -> tuple[Tensor, ...]:
        loudness = wave.square().mean(1, keepdim=True).sqrt().clamp(min=1e-8)
        starts = partial_starts(wave.shape[1])
        mel = self.mel(wave * (VOLUME / loudness).clamp(min=1.0), (starts[-1] + SPAN) * HOP)
        x = torch.stack([mel[:, start : start + SPAN] for start in starts], dim=1).flatten(0, 1)
        layers = []
        for lstm in self.lstms:
            x, _ = lstm(x)
            layers.append(x[:, -1])
        layers.append(normalize(self.linear(layers[-1]).relu(), dim=-1))
        return tuple(layer.unflatten(0, (len(wave), len(starts))) for layer in layers)

    def mel(self, wave: Tensor, size: int) -> Tensor:
        """Waveforms (b, S), filled up to ``size`` samples -> mel powers (b, T, 40), no logarithm."""
        wave = pad(wave, (0, max(0, size - wave.shape[1])))
        spectrum = torch.stft(wave, WINDOW, HOP, window=self.window, pad_mode="constant", return_complex=True)
        return (self.filters @ spectrum.abs().square()).transpose(1, 2)


def partial_starts(samples: int) -> list[int]:
    """First mel frames of the partials of a clip, as ``VoiceEncoder.compute_partial_slices`` cuts it."""
    frames = -(-(samples + 1) // HOP)
    starts = list(range(0, max(1, frames - SPAN + STEP + 1), STEP))
    if len(starts) > 1 and (samples - starts[-1] * HOP) / (SPAN * HOP) < COVERAGE:
        starts.pop()
    return starts


def slaney_filters(rate: int, window: int, bands: int) -> Tensor:
    """Triangles of area one on the mel scale of Slaney's Auditory Toolbox (1998): (bands, window / 2 + 1)."""
    top = 15 + 27 * math.log(rate / 2 / 1000) / math.log(6.4)
    mels = torch.linspace(0, top, bands + 2, dtype=torch.float64)
    edges = torch.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))[:, None]
    bins = torch.arange(window // 2 + 1, dtype=torch.float64) * rate / window
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return (torch.minimum(rising, falling).clamp(min=0) * 2 / (edges[2:] - edges[:-2])).float()
