"""Detectors of sound events: a linear layer, or a small network, on every frozen frame.

Detectors that differ in seed, training clips and point of the grid read the same frames, so they are trained side by
side as members of one module, as the attention probes are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from audiotext.evaluate.attentive import Member
from audiotext.evaluate.events import Labelled
from audiotext.evaluate.fit import FitConfig, at_least, fit, seeded
from audiotext.types import Padded

Array = np.ndarray


@dataclass
class DetectorConfig:
    """A detector and its grid: every combination of ``lr`` and ``weight_decay`` is tried, then every ``median``."""

    hidden: int = 0
    """Width of a hidden layer; 0 for a linear layer alone."""
    dropout: float = 0.2
    """Of the hidden layer."""
    lr: list[float] = field(default_factory=lambda: [1e-3, 4e-3, 1.6e-2])
    weight_decay: list[float] = field(default_factory=lambda: [1e-2])
    median: list[float] = field(default_factory=lambda: [0.0, 0.2, 0.4, 0.8])
    """Seconds of scores of which the median is taken, frame by frame; 0 for the scores as they are."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(epochs=10, batch_size=32, max_norm=0.0))
    min_steps: int = 500
    """Few clips are seen in more epochs than ``fit`` says, until there were so many steps."""

    def grid(self) -> list[dict[str, float]]:
        return [{"lr": lr, "weight_decay": w} for lr, w in product(self.lr, self.weight_decay)]


class Detectors(nn.Module):
    """K detectors: frames (B, T, D), standardised here, -> logits (K, B, T, C). They begin with the classes' rates."""

    def __init__(self, scale: tuple[Tensor, Tensor], rates: Tensor, config: DetectorConfig, members: Sequence[Member]):
        super().__init__()
        mean, std = scale
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.heads = nn.ModuleList()
        for member in members:
            with seeded(member.seed):
                self.heads.append(_head(len(mean), rates, config))

    def forward(self, frames: Tensor, which: Sequence[int] | None = None) -> Tensor:
        """``which``: numbers of the detectors that are asked; None for all."""
        x = (frames - self.mean) / self.std
        return torch.stack([self.heads[k](x) for k in (range(len(self.heads)) if which is None else which)])

    def groups(self, members: Sequence[Member]) -> list[dict]:
        """Optimizer groups with each member's learning rate and weight decay; biases are not decayed."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for member, head in zip(members, self.heads, strict=True):
            for p in head.parameters():
                decay = member.point["weight_decay"] if p.ndim > 1 else 0.0
                groups.setdefault((member.point["lr"], decay), []).append(p)
        return [{"params": p, "lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]


def fit_detectors(
    config: DetectorConfig, clips: Labelled, members: Sequence[Member], seed: int, label: str = ""
) -> Detectors:
    """Detectors trained by binary cross-entropy on frames, clips weighted alike, each on its own clips.

    ``seed`` sets the order.
    """
    rates = torch.from_numpy(np.mean([clips.targets(i).mean(0) for i in range(len(clips))], axis=0)).float()
    detectors = Detectors(clips.frames.scale(), rates, config, members)
    seen = torch.zeros(len(members), len(clips))
    for row, member in zip(seen, members, strict=True):
        row[list(member.items)] = 1.0

    def loss(batch: list[int]) -> Tensor:
        padded, weight = clips.frames.padded(batch), seen[:, batch]
        wanted = _padded_targets([clips.targets(i) for i in batch], padded)
        logits = detectors(padded.data)
        each = nn.functional.binary_cross_entropy_with_logits(logits, wanted.expand_as(logits), reduction="none")
        mask = padded.mask().float()
        each = (each.mean(-1) * mask).sum(-1) / mask.sum(-1)
        # a sum over members keeps them independent: each gets the gradient it would get alone
        return ((each * weight).sum(1) / weight.sum(1).clamp(min=1)).sum()

    how = at_least(config.fit, config.min_steps, len(clips))
    fit(detectors, clips.lengths, loss, how, seed, label=label, groups=detectors.groups(members))
    return detectors


def _head(dim: int, rates: Tensor, config: DetectorConfig) -> nn.Sequential:
    head = nn.Sequential()
    if config.hidden:
        head.extend([nn.Linear(dim, config.hidden), nn.ReLU(), nn.Dropout(config.dropout)])
    last = nn.Linear(config.hidden or dim, len(rates))
    nn.init.zeros_(last.weight)
    last.bias.data.copy_(rates.logit(1e-5))
    return head.append(last)


def _padded_targets(targets: Sequence[Array], frames: Padded) -> Tensor:
    """(B, T, C) as floats."""
    found = torch.zeros(*frames.data.shape[:2], targets[0].shape[1])
    for row, target in zip(found, targets, strict=True):
        row[: len(target)] = torch.from_numpy(target)
    return found


@torch.inference_mode()
def logits_of(
    detectors: Detectors, clips: Labelled, which: Sequence[int], places: Sequence[int], size: int = 16
) -> Iterator[tuple[int, Array]]:
    """Place of a clip and what the detectors ``which`` say of it, logits (K, T, C), for each of ``places``."""
    order = sorted(places, key=clips.lengths.__getitem__)
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        padded = clips.frames.padded(batch)
        logits = detectors(padded.data, which)
        for n, (place, length) in enumerate(zip(batch, padded.lengths.tolist(), strict=True)):
            yield place, logits[:, n, :length].numpy()


def median_frames(seconds: float, seconds_per_frame: float) -> int:
    """The odd number of frames that is nearest to so many seconds."""
    return 2 * max(0, round((seconds / seconds_per_frame - 1) / 2)) + 1


def median_of(scores: Array, width: int, rows: Sequence[int] | Array | None = None) -> Array:
    """Median of ``width`` (odd) frames around each, or around ``rows`` (N,): scores (T, C) -> (N, C). The first and
    the last frame go on before and after the clip."""
    rows = np.arange(len(scores)) if rows is None else np.asarray(rows)
    if width == 1:
        return scores[rows]
    around = np.clip(rows[:, None] + np.arange(width) - width // 2, 0, len(scores) - 1)
    return np.median(scores[around], axis=1)
