"""A cheap convolutional front: small convolutions that halve frequency each time and time as often as asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import nn

from audiotext.config import ConfigError
from audiotext.encoder.front.base import FRONTS, Front, LevelNorm, ceil_div
from audiotext.encoder.front.channels_last import ChannelsLastConv2d
from audiotext.types import Padded, length_mask


@FRONTS.register("strided")
@dataclass
class StridedConfig:
    """Three small convolutions over time and frequency: about 25 times cheaper than icefall's front."""

    subsampling: Literal[1, 2, 4, 8] = 4
    """Input frames per output frame."""
    channels: tuple[int, ...] = (16, 32, 32)
    """Channels of each convolution; their number bounds the subsampling."""
    stem: Literal[2, 4] = 2
    """Frames and bands that the first convolution makes one: 2 with a 3x3 kernel; 4 with 7x7, for half the cost."""
    mean: float = -8.0
    """Typical level of a log-mel value, subtracted."""
    std: float = 4.0
    """Typical spread of a log-mel value, divided by."""

    def build(self, feature_dim: int, output_dim: int) -> StridedFront:
        return StridedFront(self, feature_dim, output_dim)


class StridedFront(Front):
    """T' = ceil(T / subsampling); every frame count from one up is allowed."""

    def __init__(self, config: StridedConfig, feature_dim: int, output_dim: int):
        super().__init__()
        self.subsampling = config.subsampling
        halvings = self.subsampling.bit_length() - 1
        strides = [(min(config.stem, self.subsampling), config.stem)]
        for _ in config.channels[1:]:
            left = halvings - sum(time.bit_length() - 1 for time, _ in strides)
            strides.append((2 if left > 0 else 1, 2))
        if math.prod(time for time, _ in strides) < self.subsampling:
            raise ConfigError(f"front: subsampling {self.subsampling} needs more channels than {list(config.channels)}")
        self.norm = LevelNorm(config.mean, config.std)
        self.convs = nn.ModuleList()
        before, bands = 1, feature_dim
        for i, (channels, stride) in enumerate(zip(config.channels, strides, strict=True)):
            kernel = 7 if i == 0 and config.stem == 4 else 3
            self.convs.append(ChannelsLastConv2d(before, channels, kernel, stride, padding=kernel // 2))
            before, bands = channels, -(-bands // stride[1])
        self.out = nn.Linear(before * bands, output_dim)
        self.out_norm = nn.LayerNorm(output_dim)

    def forward(self, feats: Padded) -> Padded:
        x, lengths = self.norm(feats).unsqueeze(1), feats.lengths
        for conv in self.convs:
            x, lengths = conv(x).relu_(), ceil_div(lengths, conv.stride[0])
            # Zero what lies past the clip's end: the next kernel would otherwise see it.
            x = x * length_mask(lengths, x.shape[2])[:, None, :, None]
        x = self.out_norm(self.out(x.permute(0, 2, 3, 1).flatten(2)))
        return Padded(x * length_mask(lengths, x.shape[1]).unsqueeze(-1), lengths)
