"""Projection into the space that audio and text share."""

from __future__ import annotations

from torch import Tensor, nn


class Projection(nn.Module):
    """Linear, ReLU, Linear: (..., input_dim) -> (..., output_dim), as on both sides of CaptionStew."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, output_dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
