"""Pairwise sigmoid loss between clips and captions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiotext.config import ConfigError
from audiotext.model import AudioTextModel
from audiotext.objective.base import OBJECTIVES, Objective, draw_captions, similarities
from audiotext.objective.contrastive import carries
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
        audio = nn.functional.normalize(model.project_audio(model.encode_audio(batch.feats)).float(), dim=-1)
        texts, _ = draw_captions(batch, self.config.captions_per_clip if self.training else 1)
        positive = carries(batch.captions, texts).to(audio.device)
        similarity = similarities(audio, model.embed_text(texts))
        loss_B = pairwise_sigmoid(similarity, positive, self.log_scale.exp(), self.bias)
        with torch.no_grad():
            hit = positive.gather(1, similarity.argmax(1, keepdim=True))
        report = {"loss_per_clip": loss_B.detach(), "batch_recall": hit.float().mean()}
        return loss_B.mean(), report | {"scale": self.log_scale.detach().exp(), "bias": self.bias.detach()}


def pairwise_sigmoid(similarity_BM: Tensor, positive_BM: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Cross-entropy of every pair, summed over texts, as many as one caption per clip would give: (B,) in nats.

    Zhai et al. 2023, algorithm 1, where B texts face B clips; the sum over M texts is scaled by B / M.
    """
    sign = positive_BM.to(similarity_BM.dtype) * 2 - 1
    loss = -nn.functional.logsigmoid(sign * (similarity_BM * scale + bias))
    return loss.sum(1) * (similarity_BM.shape[0] / similarity_BM.shape[1])


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

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ConfigError(f"scale: must be above zero, got {self.scale}")

    def build(self) -> Sigmoid:
        return Sigmoid(self)
