"""Stacks of Zipformer layers, each at its own frame rate (Yao et al. 2023, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiotext.encoder.front.base import ceil_div
from audiotext.encoder.zipformer.attention import RelativePositions
from audiotext.encoder.zipformer.chunk import Chunks
from audiotext.encoder.zipformer.layer import Bypass, ZipformerLayer
from audiotext.types import length_mask


class Stack(nn.Module):
    """Layers of one width at one frame rate."""

    def __init__(self, layers: list[ZipformerLayer], pos_dim: int):
        super().__init__()
        self.encoder_pos = RelativePositions(pos_dim)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, lengths: Tensor, channel_mask: Tensor | None, chunks: Chunks | None = None) -> Tensor:
        """(B, T, D), lengths (B,), ``channel_mask`` (B, 1, D) or None, ``chunks`` if causal -> (B, T, D)."""
        positions = self.encoder_pos(x)
        valid = length_mask(lengths, x.shape[1]).unsqueeze(-1)
        hidden, place = ~valid[:, None, None, :, 0], None
        if chunks is not None:
            ahead = chunks.hidden(x.shape[1], x.device)
            hidden = hidden if ahead is None else hidden | ahead
            place = chunks.place(lengths, x.shape[1])
        if channel_mask is not None:
            x = x * channel_mask
        for layer in self.layers:
            x = layer(x, positions, valid, hidden, place)
            if channel_mask is not None:
                x = x * channel_mask
        return x


class DownsampledStack(nn.Module):
    """A stack that runs at a lower rate, and is mixed with its input at the input's rate."""

    def __init__(self, stack: Stack, dim: int, factor: int):
        super().__init__()
        self.downsample = Downsample(factor)
        self.encoder = stack
        self.out_combiner = Bypass(dim)

    def forward(self, x: Tensor, lengths: Tensor, channel_mask: Tensor | None, chunks: Chunks | None = None) -> Tensor:
        """As Stack."""
        y, fewer = self.downsample(x, lengths)
        y = self.encoder(y, fewer, channel_mask, chunks and chunks.at(self.downsample.factor))
        y = y.unsqueeze(2).expand(-1, -1, self.downsample.factor, -1).flatten(1, 2)
        return self.out_combiner(x, y[:, : x.shape[1]])


class Downsample(nn.Module):
    """Learnt weighted means of every ``factor`` frames; a clip's last frame is repeated to fill the last group."""

    def __init__(self, factor: int):
        super().__init__()
        self.factor = factor
        self.bias = nn.Parameter(torch.zeros(factor))

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D), (B,) -> (B, ceil(T / factor), D), (B,)."""
        # Each clip's own last frame, not the batch's: else the padding would be averaged in.
        last = x[torch.arange(len(x), device=x.device), lengths - 1].unsqueeze(1)
        x = torch.cat([x, last.expand(-1, -x.shape[1] % self.factor, -1)], dim=1)
        x = torch.where(length_mask(lengths, x.shape[1]).unsqueeze(-1), x, last)
        weights = self.bias.softmax(dim=0).to(x.dtype)
        return weights @ x.unflatten(1, (-1, self.factor)), ceil_div(lengths, self.factor)
