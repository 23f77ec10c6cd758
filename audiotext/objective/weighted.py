"""A weighted sum of objectives, each seeing the same batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from audiotext.config import ConfigError, from_tree
from audiotext.model import AudioTextModel
from audiotext.objective.base import OBJECTIVES, Objective
from audiotext.types import Batch


class Weighted(Objective):
    """loss = sum of weight * loss over the members; reports carry the member's name as a prefix."""

    def __init__(self, members: dict[str, Objective], weights: dict[str, float]):
        super().__init__()
        self.members, self.weights = nn.ModuleDict(members), weights
        self.parts = frozenset().union(*(m.parts for m in members.values()))

    def forward(self, model: AudioTextModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        total, per_clip, report = 0.0, 0.0, {}
        for name, member in self.members.items():
            loss, values = member(model, batch)
            total = total + self.weights[name] * loss
            loss_B = values.pop("loss_per_clip")
            per_clip = per_clip + self.weights[name] * loss_B
            report |= {f"{name}/loss": loss_B.mean()} | {f"{name}/{k}": v for k, v in values.items()}
        return total, report | {"loss_per_clip": per_clip}


@OBJECTIVES.register("weighted")
@dataclass
class WeightedConfig:
    """``weights``: objective name -> weight. ``options``: objective name -> its own fields."""

    weights: dict[str, float] = field(default_factory=lambda: {"contrastive": 1.0, "captioning": 1.0})
    options: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Weighted:
        unknown = sorted(self.options.keys() - self.weights.keys())
        if unknown:
            raise ConfigError(f"objective.options: {', '.join(unknown)} has no weight")
        members = {
            name: from_tree(OBJECTIVES[name], self.options.get(name, {}), f"objective.options.{name}").build()
            for name in self.weights
        }
        return Weighted(members, dict(self.weights))
