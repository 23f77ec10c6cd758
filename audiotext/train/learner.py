"""Model and objective as one module: what is trained, averaged and saved together."""

from __future__ import annotations

from torch import Tensor, nn

from audiotext.model import AudioTextModel
from audiotext.objective.base import Objective
from audiotext.types import Batch


class Learner(nn.Module):
    """``learner(batch)`` is ``objective(model, batch)``; its parameters are those of both."""

    def __init__(self, model: AudioTextModel, objective: Objective):
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return self.objective(self.model, batch)


def count_parameters(learner: Learner) -> dict[str, int]:
    """Trainable parameters of every part of the model and of the objective, parts without any left out."""
    parts = dict(learner.model.named_children()) | {"objective": learner.objective}
    counts = {name: sum(p.numel() for p in part.parameters() if p.requires_grad) for name, part in parts.items()}
    return {name: count for name, count in counts.items() if count}
