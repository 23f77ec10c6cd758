"""The convolution module of a Zipformer layer: a gated linear unit, a depthwise convolution over time, SwooshR."""

from __future__ import annotations

from torch import Tensor, nn

from audiotext.encoder.depthwise import DepthwiseConv
from audiotext.encoder.zipformer.balance import Balancer, Whiten, whitening_limit
from audiotext.encoder.zipformer.schedule import ScheduledFloat
from audiotext.encoder.zipformer.swoosh import SwooshLinear


class ConvolutionModule(nn.Module):
    def __init__(self, dim: int, kernel: int):
        super().__init__()
        self.in_proj = nn.Linear(dim, 2 * dim)
        # The gate is often poorly scaled in the first layer, and then learns nothing.
        self.balancer1 = Balancer(
            ScheduledFloat((0, 0.05), (8000, 0.025)), 1.0, 1.5, ScheduledFloat((0, 5.0), (8000, 10.0))
        )
        self.depthwise_conv = DepthwiseConv(dim, kernel)
        self.balancer2 = Balancer(
            ScheduledFloat((0, 0.1), (8000, 0.05)), 1.0, ScheduledFloat((0, 0.2), (20000, 0.5)), 10.0
        )
        self.whiten = Whiten(whitening_limit(7.5))
        self.out_proj = SwooshLinear(dim, dim, "R", dropout=0.0, initial_scale=0.05)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, D) with ``valid`` (B, T, 1), True inside the clip -> (B, T, D)."""
        x, gate = self.in_proj(x).chunk(2, dim=-1)
        x = (x * self.balancer1(gate).sigmoid()) * valid
        x = self.depthwise_conv(x)
        return self.out_proj(self.whiten(self.balancer2(x)))
