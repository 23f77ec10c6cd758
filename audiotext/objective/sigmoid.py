"""Pairwise sigmoid loss between clips and captions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiotext.config import ConfigError
from audiotext.model import AudioTextModel
from audiotext.objective.base import OBJECTIVES, Objective
from audiotext.objective.pairs import pair
from audiotext.types import Batch


class Sigmoid(Objective):
    """Every pair of a clip and a text is a yes-or-no question (SigLIP, Zhai et al. 2023), so batches may be small.

    Captions are drawn, and count as a clip's own, as in Contrastive.
    """

    parts = frozenset({"text_encoder"})

    def __init__(self, config: SigmoidConfig):
        super().__init__()
        self.config = config
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.scale)))
        self.bias = nn.Parameter(torch.tensor(config.bias))

    def forward(self, model: AudioTextModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        pairs = pair(model, batch, self.config.captions_per_clip if self.training else 1, self.peers)
        scale = self.log_scale.exp()

        def measure(similarity_cM: Tensor, positive_cM: Tensor) -> tuple[Tensor, Tensor]:
            hit = positive_cM.gather(1, similarity_cM.argmax(1, keepdim=True)).squeeze(1)
            return pairwise_sigmoid(similarity_cM, positive_cM, scale, self.bias), hit

        loss, hit = (torch.cat(x) for x in zip(*pairs.measured(measure, self.config.chunk), strict=True))
        loss_B = loss * (self.peers.sum(len(batch)) / len(pairs.text_ME))
        report = {"loss_per_clip": loss_B.detach(), "batch_recall": hit.float().mean()}
        return self.mean(loss_B), report | {"scale": scale.detach(), "bias": self.bias.detach()}


def pairwise_sigmoid(similarity_BM: Tensor, positive_BM: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Cross-entropy of every pair, summed over texts: (B,) in nats (Zhai et al. 2023, algorithm 1).

    There B texts face B clips; for M texts, the objective scales the sum by B / M.
    """
    sign = positive_BM.to(similarity_BM.dtype) * 2 - 1
    return -nn.functional.logsigmoid(sign * (similarity_BM * scale + bias)).sum(1)


@OBJECTIVES.register("sigmoid")
@dataclass
class SigmoidConfig:
    """The paper's starting values: nearly every pair of a batch is a negative, and the bias says so from the start."""

    scale: float = 10.0
    """What similarities are multiplied by at the start; learnt."""
    bias: float = -10.0
    """What is added to them; learnt."""
    captions_per_clip: int = 1
    """Captions drawn for each clip and step, where it has as many."""
    chunk: int | None = None
    """Clips compared with all texts at a time; as in Contrastive."""

    def __post_init__(self) -> None:
        if self.chunk is not None and self.chunk < 1:
            raise ConfigError(f"chunk: must be at least 1, got {self.chunk}")
        if self.scale <= 0:
            raise ConfigError(f"scale: must be above zero, got {self.scale}")

    def build(self) -> Sigmoid:
        return Sigmoid(self)
