"""Tagging: which of a fixed set of classes a clip holds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiotext.config import ConfigError, nearest
from audiotext.model import AudioTextModel
from audiotext.objective.base import OBJECTIVES, Objective
from audiotext.types import Batch


class Tagging(Objective):
    """Every class is a yes-or-no question: binary cross-entropy, as AudioSet taggers train (icefall, egs/audioset/AT).

    Targets come from the clips' labels in the manifest: one name, or a list of them. The loss of a clip is summed over
    the classes; a clip without the label has none.
    """

    parts = frozenset({"classifier"})

    def __init__(self, config: TaggingConfig):
        super().__init__()
        self.config = config

    def forward(self, model: AudioTextModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        output = model.encode_audio(batch.feats)
        logits = model.classifier(output.frames, output.mask()).float()
        target = targets(batch, self.config.label, model.classifier.labels).to(logits.device)
        known = ~target.isnan().any(1)
        target = target.nan_to_num()
        loss_B = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1) * known
        with torch.no_grad():
            hit = target.gather(1, logits.argmax(1, keepdim=True)).squeeze(1) * known
        report = {"accuracy": hit.sum() / known.sum().clamp(min=1), "labelled": known.float().mean()}
        return self.mean(loss_B), report | {"loss_per_clip": loss_B.detach()}


def targets(batch: Batch, label: str, classes: tuple[str, ...]) -> Tensor:
    """(B, C) of 0 and 1, nan for clips without the label. Raises ConfigError for a value that is no class."""
    index = {name: i for i, name in enumerate(classes)}
    rows = torch.full((len(batch), len(classes)), torch.nan)
    for row, clip, labels in zip(rows, batch.ids, batch.labels or [{}] * len(batch), strict=True):
        if labels.get(label) is None:
            continue
        row.zero_()
        values = labels[label] if isinstance(labels[label], (list, tuple)) else [labels[label]]
        for value in map(str, values):
            if value not in index:
                raise ConfigError(f"{clip}: {label} {value!r} is not in classifier.labels, {nearest(value, classes)}")
            row[index[value]] = 1
    return rows


@OBJECTIVES.register("tagging")
@dataclass
class TaggingConfig:
    """Needs model.classifier with its labels."""

    label: str = "tags"
    """The label of the manifest that holds a clip's class or classes."""

    def build(self) -> Tagging:
        return Tagging(self)
