"""The convolutional front of icefall's Zipformer: 3x3 convolutions and one ConvNeXt block, to half the frame rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from audiotext.config import ConfigError
from audiotext.encoder.front.base import FRONTS, Front
from audiotext.encoder.front.channels_last import ChannelsLastConv2d
from audiotext.encoder.zipformer.balance import Balancer, Whiten
from audiotext.encoder.zipformer.dropout import ClipDropout, shared_dropout
from audiotext.encoder.zipformer.norm import BiasNorm
from audiotext.encoder.zipformer.schedule import ScheduledFloat
from audiotext.encoder.zipformer.swoosh import Swoosh, scale_initial_
from audiotext.types import Padded, length_mask

MIN_FRAMES = 9
"""The fewest input frames that give an output frame."""


@FRONTS.register("conv2d")
@dataclass
class Conv2dConfig:
    """icefall's Conv2dSubsampling: T' = (T - 7) // 2. Accurate and, on a CPU, slow."""

    channels: tuple[int, ...] = (8, 32, 128)
    """Channels of the three convolutions."""

    def build(self, feature_dim: int, output_dim: int) -> Conv2dSubsampling:
        if len(self.channels) != 3:
            raise ConfigError(f"front: conv2d takes three channels, got {list(self.channels)}")
        if feature_dim < 7:
            raise ConfigError(f"front: conv2d needs at least 7 bands, got {feature_dim}")
        return Conv2dSubsampling(feature_dim, output_dim, self.channels)


class Conv2dSubsampling(Front):
    """T' = (T - 7) // 2. Clips shorter than nine frames are lengthened to nine with zeros.

    State-dict keys are those of icefall (conv.0, conv.4, conv.7, convnext, out, out_norm).
    """

    subsampling = 2

    def __init__(self, feature_dim: int, output_dim: int, channels: tuple[int, ...]):
        super().__init__()
        first, second, third = channels
        self.conv = nn.Sequential(
            ChannelsLastConv2d(1, first, 3, padding=(0, 1)),
            ScaleGradient(0.2),
            Balancer(max_abs=1.0, channel_dim=1),
            Swoosh("R"),
            ChannelsLastConv2d(first, second, 3, stride=2),
            Balancer(max_abs=4.0, channel_dim=1),
            Swoosh("R"),
            ChannelsLastConv2d(second, third, 3, stride=(1, 2)),
            Balancer(max_abs=4.0, channel_dim=1),
            Swoosh("R"),
        )
        self.convnext = ConvNeXt(third)
        self.out = nn.Linear(((feature_dim - 1) // 2 - 1) // 2 * third, output_dim)
        self.out_whiten = Whiten(ScheduledFloat((0, 4.0), (20000, 8.0)), grad_scale=0.02)
        self.out_norm = BiasNorm(output_dim)
        self.dropout = ScheduledFloat((0, 0.3), (20000, 0.1))

    def forward(self, feats: Padded) -> Padded:
        x = feats.data.masked_fill(~feats.mask().unsqueeze(-1), 0.0)
        x = nn.functional.pad(x, (0, 0, 0, max(0, MIN_FRAMES - x.shape[1])))
        lengths = (feats.lengths.clamp(min=MIN_FRAMES) - 7).div(2, rounding_mode="floor")
        x = self.conv(x.unsqueeze(1))
        mask = length_mask(lengths, x.shape[2])
        x = self.convnext(x, mask[:, None, :, None])
        x = self.out_whiten(self.out(x.transpose(1, 2).flatten(2)))
        x = shared_dropout(self.out_norm(x), self.dropout, self.training)
        return Padded(x * mask.unsqueeze(-1), lengths)


class ConvNeXt(nn.Module):
    """A residual block after Liu et al. 2022: 7x7 depthwise convolution, then two pointwise ones."""

    def __init__(self, channels: int, ratio: int = 3, kernel: int = 7):
        super().__init__()
        self.depthwise_conv = ChannelsLastConv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.pointwise_conv1 = ChannelsLastConv2d(channels, ratio * channels, 1)
        self.hidden_balancer = Balancer(0.3, 1.0, 0.75, 5.0, channel_dim=1)
        self.activation = Swoosh("L")
        self.pointwise_conv2 = ChannelsLastConv2d(ratio * channels, channels, 1)
        scale_initial_(self.pointwise_conv2, 0.01)
        self.skip = ClipDropout(ScheduledFloat((0, 0.2), (20000, 0.015)))
        self.out_balancer = Balancer(0.4, 0.6, 1.0, 6.0, channel_dim=1)
        self.out_whiten = Whiten(5.0)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, C, T, F) with ``valid`` (B, 1, T, 1), True inside the clip -> (B, C, T, F)."""
        # The 7x7 kernel reaches three frames past the clip's end: let it see zeros there, as without padding.
        y = self.depthwise_conv(x * valid)
        y = self.activation(self.hidden_balancer(self.pointwise_conv1(y)))
        y = self.pointwise_conv2(y)
        x = self.out_balancer(x + self.skip(y.flatten(2)).view_as(y))
        return self.out_whiten(x.transpose(1, 3)).transpose(1, 3)


class ScaleGradient(nn.Module):
    """Multiply the gradient: the first convolution's would leave the range of float16."""

    def __init__(self, scale: float):
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return _ScaleGradient.apply(x, self.scale) if self.training else x


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.scale, None
