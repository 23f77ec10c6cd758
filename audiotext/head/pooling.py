"""Pooling: frames (B, T, D) with lengths -> one vector per clip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiotext.config import Registry

POOLINGS = Registry("pooling")


class Pooling(nn.Module):
    """Frames (B, T, D) and a mask (B, T), True where valid -> (B, output_dim). A config's ``build(dim)`` makes it."""

    output_dim: int

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        raise NotImplementedError


class MeanPooling(Pooling):
    """Mean over valid frames."""

    def __init__(self, dim: int):
        super().__init__()
        self.output_dim = dim

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        weight = mask.to(frames.dtype)[..., None]
        return (frames * weight).sum(1) / weight.sum(1).clamp(min=1)


class MaxPooling(Pooling):
    """Maximum over valid frames."""

    def __init__(self, dim: int):
        super().__init__()
        self.output_dim = dim

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        return frames.masked_fill(~mask[..., None], torch.finfo(frames.dtype).min).amax(1)


class StatisticsPooling(Pooling):
    """Mean and standard deviation over valid frames, as in x-vectors (Snyder et al., ICASSP 2018)."""

    def __init__(self, dim: int):
        super().__init__()
        self.output_dim = 2 * dim
        self.mean = MeanPooling(dim)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        mean = self.mean(frames, mask)
        variance = self.mean((frames - mean[:, None]) ** 2, mask)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=-1)


class AttentionPooling(Pooling):
    """Multi-head attention pooling: ``queries`` learnt queries attend over the frames, outputs concatenated."""

    def __init__(self, dim: int, heads: int, queries: int):
        super().__init__()
        if dim % heads:
            raise ValueError(f"attention pooling: width {dim} is not divisible by {heads} heads")
        self.output_dim = dim * queries
        self.heads, self.queries = heads, queries
        self.query = nn.Parameter(torch.randn(queries, dim) * dim**-0.5)
        self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        batch, time, dim = frames.shape

        def split(x: Tensor) -> Tensor:  # (B, N, D) -> (B, H, N, D/H)
            return x.view(x.shape[0], x.shape[1], self.heads, dim // self.heads).transpose(1, 2)

        query = split(self.query.expand(batch, -1, -1))
        pooled = nn.functional.scaled_dot_product_attention(
            query, split(self.key(frames)), split(self.value(frames)), attn_mask=mask[:, None, None, :]
        )
        return pooled.transpose(1, 2).reshape(batch, self.output_dim)


@POOLINGS.register("mean")
@dataclass
class MeanPoolingConfig:
    """Masked mean."""

    def build(self, dim: int) -> MeanPooling:
        return MeanPooling(dim)


@POOLINGS.register("max")
@dataclass
class MaxPoolingConfig:
    """Masked maximum."""

    def build(self, dim: int) -> MaxPooling:
        return MaxPooling(dim)


@POOLINGS.register("statistics")
@dataclass
class StatisticsPoolingConfig:
    """Masked mean and standard deviation."""

    def build(self, dim: int) -> StatisticsPooling:
        return StatisticsPooling(dim)


@POOLINGS.register("attention")
@dataclass
class AttentionPoolingConfig:
    """Multi-head attention over the frames with learnt queries."""

    heads: int = 4
    queries: int = 1

    def build(self, dim: int) -> AttentionPooling:
        return AttentionPooling(dim, self.heads, self.queries)
