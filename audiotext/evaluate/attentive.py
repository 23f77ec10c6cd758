"""The multi-head attention pooling probe: attention over frozen frames, then a linear layer.

Probes that differ in seed, training part and hyper-parameters are independent but read the same frames, so they are
trained side by side as members of one module: a whole grid costs little more than one probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor, nn

from audiotext.evaluate.fit import FitConfig, fit, seeded
from audiotext.evaluate.frames import FrozenFrames
from audiotext.head.pooling import AttentionPooling
from audiotext.types import Padded


@dataclass
class AttentiveConfig:
    """The attention probe and its grid: every combination of ``lr`` and ``dropout`` is tried."""

    lr: list[float] = field(default_factory=lambda: [4e-3, 1.2e-2])
    dropout: list[float] = field(default_factory=lambda: [0.3])
    """Of the pooled vector."""
    queries: int = 1
    heads: int = 8
    """Where they do not divide the encoder's width, the next smaller number that does."""
    input_dropout: float = 0.1
    label_smoothing: float = 0.1
    fit: FitConfig = field(default_factory=lambda: FitConfig(epochs=30, batch_size=32, weight_decay=0.1, max_norm=0.0))

    def grid(self) -> list[dict[str, float]]:
        return [{"lr": lr, "dropout": dropout} for lr, dropout in product(self.lr, self.dropout)]


@dataclass(frozen=True)
class Member:
    """One probe: its point of the grid, its seed, and the training items it may see."""

    point: dict[str, float]
    seed: int
    items: Sequence[int]


class AttentiveProbes(nn.Module):
    """K probes on the same standardised frames (B, T', D) -> logits (K, B, C).

    Each is AttentionPooling and a linear layer. Learnt queries do not depend on the input and frames need no gradient,
    so keys fold into one vector per query and head, and values are projected after pooling: the same function in
    T' x D x (queries x heads) multiplications instead of T' x D x 2 D. Attention starts uniform, that is as the mean.
    """

    def __init__(self, dim: int, classes: int, config: AttentiveConfig, members: Sequence[Member]):
        super().__init__()
        self.heads = next(n for n in range(config.heads, 0, -1) if dim % n == 0)
        self.queries, self.input_dropout = config.queries, nn.Dropout(config.input_dropout)
        self.pooling, self.linear = nn.ModuleList(), nn.ModuleList()
        for member in members:
            with seeded(member.seed):
                pooling = AttentionPooling(dim, self.heads, config.queries)
                nn.init.normal_(pooling.query, std=0.02)
                self.pooling.append(pooling)
                self.linear.append(nn.Linear(pooling.output_dim, classes))
        self.register_buffer("dropout", torch.tensor([m.point["dropout"] for m in members]))

    def forward(self, frames: Padded) -> Tensor:
        data = frames.data
        if self.training:  # one mask for all frames of a clip: noise of its own per frame would average out
            data = data * self.input_dropout(torch.ones_like(data[:, :1]))
        pooled = self.pool(data, frames.mask())
        if self.training:
            keep = 1 - self.dropout[:, None, None]
            pooled = pooled * torch.bernoulli(keep.expand_as(pooled)) / keep
        weight, bias = (torch.stack([getattr(m, name) for m in self.linear]) for name in ("weight", "bias"))
        return torch.baddbmm(bias[:, None], pooled, weight.transpose(1, 2))

    def pool(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Frames (B, T', D) with a mask (B, T') -> pooled vectors (K, B, queries * D)."""
        (batch, _, dim), count, heads = frames.shape, len(self.pooling), self.heads
        part = dim // heads

        def stack(name: str, *shape: int) -> Tensor:
            return torch.stack([m.get_parameter(name) for m in self.pooling]).view(count, *shape)

        query, key = stack("query", self.queries, heads, part), stack("key.weight", heads, part, dim)
        # the key's bias shifts all frames of a head alike and vanishes in the softmax
        folded = torch.einsum("kqhe,khed->kqhd", query, key).reshape(-1, dim) * part**-0.5
        scores = (frames @ folded.T).masked_fill(~mask[..., None], -torch.inf)
        pooled = (scores.softmax(1).transpose(1, 2) @ frames).view(batch, count, self.queries, heads, dim)
        value = torch.einsum("bkqhd,khed->kbqhe", pooled, stack("value.weight", heads, part, dim))
        value = value + stack("value.bias", 1, 1, heads, part)
        return value.reshape(count, batch, self.queries * dim)

    def groups(self, members: Sequence[Member], weight_decay: float) -> list[dict]:
        """Optimizer groups with each member's learning rate, as few as there are rates; biases are not decayed."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for member, pooling, linear in zip(members, self.pooling, self.linear, strict=True):
            for p in (*pooling.parameters(), *linear.parameters()):
                groups.setdefault((member.point["lr"], weight_decay if p.ndim > 1 else 0.0), []).append(p)
        return [{"params": p, "lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]


def fit_attentive(
    config: AttentiveConfig, frames: FrozenFrames, targets: Tensor, classes: int, members: Sequence[Member], seed: int
) -> AttentiveProbes:
    """Probes trained on standardised ``frames``, each on its own items; ``seed`` sets the order.

    targets: class numbers (N,), or truth values (N, C) as floats where a clip has several labels.
    """
    probes = AttentiveProbes(frames.dim, classes, config, members)
    seen = torch.zeros(len(members), len(frames))
    for row, member in zip(seen, members, strict=True):
        row[list(member.items)] = 1.0
    criterion = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing, reduction="none")

    def loss(batch: list[int]) -> Tensor:
        logits, weight = probes(frames.padded(batch)), seen[:, batch]
        if targets.dim() == 1:
            each = criterion(logits.flatten(0, 1), targets[batch].repeat(len(members))).view_as(weight)
        else:
            wanted = targets[batch].expand_as(logits)
            each = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(-1)
        # a sum over members keeps them independent: each gets the gradient it would get alone
        return ((each * weight).sum(1) / weight.sum(1).clamp(min=1)).sum()

    lengths = frames.lengths
    fit(probes, lengths, loss, config.fit, seed, groups=probes.groups(members, config.fit.weight_decay))
    return probes


@torch.inference_mode()
def predict(probes: AttentiveProbes, frames: FrozenFrames, several: bool = False, size: int = 128) -> Tensor:
    """Class numbers by every member: (K, N); with ``several`` a probability of each class: (K, N, C)."""
    order = sorted(range(len(frames)), key=frames.lengths.__getitem__)
    found: list[Tensor] = []
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        logits = probes(frames.padded(batch))
        found.append(logits.sigmoid() if several else logits.argmax(-1))
    return torch.cat(found, 1)[:, torch.tensor(order).argsort()]
