"""Attention whose weights are computed once in a layer and used three times (Yao et al. 2023, section 3.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from audiotext.encoder.zipformer.balance import Balancer, Whiten, penalise_large, whitening_limit
from audiotext.encoder.zipformer.dropout import chance
from audiotext.encoder.zipformer.schedule import ScheduledFloat
from audiotext.encoder.zipformer.swoosh import scaled_linear


class RelativePositions(nn.Module):
    """Vectors for every distance between two of T frames: (2T - 1, dim), from -(T - 1) to T - 1.

    Distances are compressed, ever more the larger they are, so that few numbers tell near frames apart exactly and
    far ones roughly.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        self._table: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, D) says how many frames, and where -> (2T - 1, dim)."""
        time = x.shape[1]
        if self._table is None or len(self._table) < 2 * time - 1 or self._table.device != x.device:
            self._table = self.compute(max(time, 512), x.device)
        middle = len(self._table) // 2
        table = self._table[middle - time + 1 : middle + time].to(x.dtype)
        return nn.functional.dropout(table, 0.15, self.training)

    def compute(self, time: int, device: torch.device) -> Tensor:
        distance = torch.arange(1 - time, time, device=device, dtype=torch.float32).unsqueeze(1)
        root = math.sqrt(self.dim)
        # Slope 1 at zero, logarithmic far away; then an angle, of which sines and cosines are taken.
        compressed = root * distance.sign() * (distance.abs() / root).log1p()
        angle = (compressed * (2 * math.pi / self.dim)).atan() * torch.arange(1, self.dim // 2 + 1, device=device)
        table = torch.stack([angle.cos(), angle.sin()], dim=-1).flatten(1)
        table[:, -1] = 1.0  # a bias
        return table


class AttentionWeights(nn.Module):
    """Softmax of query times key, plus a small score that depends on the query and the distance."""

    def __init__(self, dim: int, heads: int, query_dim: int, pos_head_dim: int, pos_dim: int):
        super().__init__()
        self.heads = heads
        self.sizes = [query_dim * heads, query_dim * heads, pos_head_dim * heads]
        # The scale takes over the usual division of the scores by sqrt(query_dim), half of it each side.
        self.in_proj = scaled_linear(dim, sum(self.sizes), query_dim**-0.25)
        self.whiten_keys = Whiten(whitening_limit(3.0), groups=heads, grad_scale=0.025)
        # Softmax does not see a constant added to the keys; this keeps them from drifting by round-off.
        self.balance_keys = Balancer(0.4, 0.6, 0.0, 100.0, probability=0.025)
        self.linear_pos = scaled_linear(pos_dim, pos_head_dim * heads, 0.05, bias=False)
        self.pos_skip_rate = ScheduledFloat((0, 0.5), (4000, 0.0))

    def forward(self, x: Tensor, positions: Tensor, masked: Tensor) -> Tensor:
        """(B, T, D), (2T - 1, pos_dim), ``masked`` that broadcasts to (B, heads, T, T), True where not to look
        -> weights (B, heads, T, T), rows sum to 1.
        """
        query, key, pos_query = self.in_proj(x).split(self.sizes, dim=-1)
        key = self.whiten_keys(self.balance_keys(key))
        scores = _split_heads(query, self.heads) @ _split_heads(key, self.heads).transpose(-1, -2)
        if not (self.training and chance(self.pos_skip_rate)):
            keys = self.linear_pos(positions).unflatten(-1, (self.heads, -1)).permute(1, 2, 0)
            scores = scores + by_distance(_split_heads(pos_query, self.heads) @ keys)
        if self.training and scores.requires_grad and chance(0.1):
            scores = penalise_large(scores, limit=25.0, penalty=1e-4)
        return scores.masked_fill(masked, -1000.0).softmax(dim=-1)


def by_distance(scores: Tensor) -> Tensor:
    """Scores of frame i for distance d, (..., T, 2T - 1) -> scores of frame i for frame j = i + d, (..., T, T).

    Row i is read from column T - 1 - i on: in memory each row then starts one element less than a row apart.
    """
    time = scores.shape[-2]
    if time == 1:
        return scores
    return scores.flatten(-2)[..., time - 1 : -1].unflatten(-1, (time, 2 * time - 2))[..., :time]


class SelfAttention(nn.Module):
    """Weighted sums of values, for weights computed elsewhere."""

    def __init__(self, dim: int, heads: int, value_dim: int):
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(dim, heads * value_dim)
        self.out_proj = scaled_linear(heads * value_dim, dim, 0.05)
        self.whiten = Whiten(whitening_limit(7.5, ratio=3.0))

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """(B, T, D), (B, heads, T, T) -> (B, T, D)."""
        values = weights @ _split_heads(self.in_proj(x), self.heads)
        return self.whiten(self.out_proj(values.transpose(1, 2).flatten(2)))


class NonlinAttention(nn.Module):
    """A gated block, out_proj(y * attend(x * tanh(s))), with x, s and y projections of the input."""

    def __init__(self, dim: int, hidden_dim: int):
        super().__init__()
        self.in_proj = nn.Linear(dim, 3 * hidden_dim)
        shares = ScheduledFloat((0, 0.25), (20000, 0.05)), ScheduledFloat((0, 0.75), (20000, 0.95))
        self.balancer = Balancer(*shares, min_abs=0.5, max_abs=5.0)
        self.out_proj = scaled_linear(hidden_dim, dim, 0.05)
        self.whiten1 = Whiten(whitening_limit(5.0))
        self.whiten2 = Whiten(whitening_limit(5.0, ratio=3.0))

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """(B, T, D), weights of one head (B, T, T) -> (B, T, D)."""
        gate, x, y = self.in_proj(x).chunk(3, dim=-1)
        x = weights @ (self.whiten1(x) * self.balancer(gate).tanh())
        return self.whiten2(self.out_proj(x * y))


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, heads * D) -> (B, heads, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)
