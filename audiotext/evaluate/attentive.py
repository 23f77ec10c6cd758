"""The multi-head attention pooling probe: attention over frozen frames, then a linear layer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product

import torch
from torch import Tensor, nn

from audiotext.evaluate.embed import FrozenFrames
from audiotext.evaluate.fit import FitConfig, fit, seeded
from audiotext.head.pooling import AttentionPooling
from audiotext.types import Padded


@dataclass
class AttentiveConfig:
    """The attention probe and its grid. Every combination of ``lr``, ``dropout`` and ``queries`` is tried."""

    lr: list[float] = field(default_factory=lambda: [1e-3, 4e-3])
    dropout: list[float] = field(default_factory=lambda: [0.1, 0.5])
    """Of the pooled vector."""
    queries: list[int] = field(default_factory=lambda: [2])
    heads: int = 4
    input_dropout: float = 0.1
    label_smoothing: float = 0.1
    fit: FitConfig = field(default_factory=lambda: FitConfig(epochs=30, batch_size=32, weight_decay=0.1))

    def grid(self) -> list[dict]:
        return [
            {"lr": lr, "dropout": dropout, "queries": queries}
            for lr, dropout, queries in product(self.lr, self.dropout, self.queries)
        ]


class FrozenAttentionPooling(AttentionPooling):
    """The same function as AttentionPooling, cheap where frames need no gradient.

    Learnt queries do not depend on the input, so keys fold into one vector per query and head, and values can be
    projected after pooling: T x D x queries x heads multiplications instead of T x D x 2D.
    """

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        batch, _, dim = frames.shape
        part = dim // self.heads
        query = self.query.view(self.queries, self.heads, part)
        # the key's bias shifts all frames of a head alike and vanishes in the softmax
        folded = torch.einsum("qhe,hed->qhd", query, self.key.weight.view(self.heads, part, dim)) * part**-0.5
        scores = (frames @ folded.reshape(-1, dim).T).masked_fill(~mask[..., None], -torch.inf)
        pooled = scores.softmax(1).transpose(1, 2) @ frames  # (B, Q * H, D)
        pooled = pooled.view(batch, self.queries, self.heads, dim)
        value = torch.einsum("bqhd,hed->bqhe", pooled, self.value.weight.view(self.heads, part, dim))
        return (value + self.value.bias.view(self.heads, part)).reshape(batch, self.output_dim)


class AttentiveProbe(nn.Module):
    """Frames (B, T', D), standardised, -> logits (B, C). Attention starts uniform: training starts from the mean."""

    def __init__(self, dim: int, classes: int, heads: int, queries: int, input_dropout: float, dropout: float):
        super().__init__()
        self.input_dropout, self.dropout = nn.Dropout(input_dropout), nn.Dropout(dropout)
        self.pooling = FrozenAttentionPooling(dim, divisor(dim, heads), queries)
        self.classifier = nn.Linear(self.pooling.output_dim, classes)
        nn.init.normal_(self.pooling.query, std=0.02)

    def forward(self, frames: Padded) -> Tensor:
        return self.classifier(self.dropout(self.pooling(self.input_dropout(frames.data), frames.mask())))


def divisor(dim: int, heads: int) -> int:
    """The largest number of heads up to ``heads`` that divides ``dim``."""
    return next(n for n in range(heads, 0, -1) if dim % n == 0)


def fit_attentive(
    config: AttentiveConfig, choice: dict, frames: FrozenFrames, targets: Tensor, classes: int, seed: int
) -> AttentiveProbe:
    """A probe trained on standardised ``frames`` with targets (N,) under one point of the grid."""
    with seeded(seed):
        probe = AttentiveProbe(
            frames.dim, classes, config.heads, choice["queries"], config.input_dropout, choice["dropout"]
        )
    criterion = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    lengths = [len(x) for x in frames.frames]
    settings = replace(config.fit, lr=choice["lr"])
    fit(probe, lengths, lambda batch: criterion(probe(frames.padded(batch)), targets[batch]), settings, seed)
    return probe


@torch.inference_mode()
def predict(probe: AttentiveProbe, frames: FrozenFrames, size: int = 256) -> Tensor:
    """Class numbers (N,)."""
    order = sorted(range(len(frames)), key=lambda i: len(frames.frames[i]))
    predicted = torch.empty(len(frames), dtype=torch.long)
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        predicted[batch] = probe(frames.padded(batch)).argmax(1)
    return predicted
