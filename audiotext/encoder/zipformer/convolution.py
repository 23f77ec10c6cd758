"""The convolution module of a Zipformer layer: a gated linear unit, a depthwise convolution over time, SwooshR."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, pad

from audiotext.encoder.depthwise import DepthwiseConv
from audiotext.encoder.zipformer.balance import Balancer, Whiten, whitening_limit
from audiotext.encoder.zipformer.chunk import Place
from audiotext.encoder.zipformer.schedule import ScheduledFloat
from audiotext.encoder.zipformer.swoosh import SwooshLinear


class ConvolutionModule(nn.Module):
    def __init__(self, dim: int, kernel: int, causal: bool = False):
        super().__init__()
        self.in_proj = nn.Linear(dim, 2 * dim)
        # The gate is often poorly scaled in the first layer, and then learns nothing.
        self.balancer1 = Balancer(
            ScheduledFloat((0, 0.05), (8000, 0.025)), 1.0, 1.5, ScheduledFloat((0, 5.0), (8000, 10.0))
        )
        self.depthwise_conv = ChunkCausalConv(dim, kernel) if causal else DepthwiseConv(dim, kernel)
        self.balancer2 = Balancer(
            ScheduledFloat((0, 0.1), (8000, 0.05)), 1.0, ScheduledFloat((0, 0.2), (20000, 0.5)), 10.0
        )
        self.whiten = Whiten(whitening_limit(7.5))
        self.out_proj = SwooshLinear(dim, dim, "R", dropout=0.0, initial_scale=0.05)

    def forward(self, x: Tensor, valid: Tensor, place: Place | None = None) -> Tensor:
        """(B, T, D) with ``valid`` (B, T, 1), True inside the clip -> (B, T, D); ``place`` if causal."""
        x, gate = self.in_proj(x).chunk(2, dim=-1)
        x = (x * self.balancer1(gate).sigmoid()) * valid
        x = self.depthwise_conv(x) if place is None else self.depthwise_conv(x, place)
        return self.out_proj(self.whiten(self.balancer2(x)))


class ChunkCausalConv(nn.Module):
    """Half a kernel that looks back only, plus a whole one that stays within the chunk.

    Near a chunk's edges the whole kernel sees zeros, so its output is scaled there by learnt factors, one for each
    of the first and last ``kernel`` frames of a chunk, which are added to 1. Each clip's chunks end with the clip.
    """

    def __init__(self, dim: int, kernel: int):
        super().__init__()
        self.causal_conv = DepthwiseConv(dim, kernel // 2 + 1, padding=0)
        nn.init.uniform_(self.causal_conv.bias, -0.1, 0.1)
        self.chunkwise_conv = DepthwiseConv(dim, kernel)
        self.chunkwise_conv_scale = nn.Parameter(torch.zeros(2, dim, kernel))

    def forward(self, x: Tensor, place: Place) -> Tensor:
        """(B, T, D), zero past each clip's end -> (B, T, D)."""
        time = x.shape[1]
        back = self.causal_conv(pad(x, (0, 0, self.causal_conv.kernel_size[0] - 1, 0)))
        chunks = pad(x, (0, 0, 0, -time % place.size)).unflatten(1, (-1, place.size))
        within = self.chunkwise_conv(chunks.flatten(0, 1)).view_as(chunks).flatten(1, 2)[:, :time]
        return torch.addcmul(back, within, self._scale(place))

    def _scale(self, place: Place) -> Tensor:
        """(B, T, D): 1, and what is learnt for as many frames before and after the frame in its chunk."""
        first, last = self.chunkwise_conv_scale
        kernel = first.shape[1]
        edges = torch.stack([first, last.flip(1)]).transpose(1, 2)
        first, last = pad(edges, (0, 0, 0, 1))  # a row of zeros for all frames that are further from the edge
        return 1 + embedding(place.before.clamp(max=kernel), first) + embedding(place.after.clamp(max=kernel), last)
