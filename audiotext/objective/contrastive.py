"""Symmetric InfoNCE between clips and their captions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiotext.model import AudioTextModel
from audiotext.objective.base import OBJECTIVES, Objective
from audiotext.types import Batch


class Contrastive(Objective):
    """Symmetric InfoNCE (van den Oord et al. 2018; CLIP, Radford et al. 2021), as CaptionStew pretrains.

    A caption that says the same as the caption of another clip in the batch is a positive for both: corpora whose
    captions are labels would otherwise push true pairs apart.
    """

    parts = frozenset({"text_encoder"})

    def __init__(self, config: ContrastiveConfig):
        super().__init__()
        self.config = config
        log_temperature = torch.tensor(math.log(config.temperature))
        self.log_temperature = nn.Parameter(log_temperature, requires_grad=config.learn_temperature)

    def forward(self, model: AudioTextModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        audio = nn.functional.normalize(model.project_audio(model.encode_audio(batch.feats)).float(), dim=-1)
        text = model.embed_text(batch.caption)
        temperature = self.log_temperature.exp().clamp(min=self.config.min_temperature)
        loss_B = info_nce(audio, text, temperature, same_caption(batch.caption).to(audio.device))
        with torch.no_grad():
            hit = (audio @ text.T).argmax(1) == torch.arange(len(batch), device=audio.device)
        report = {"loss_per_clip": loss_B.detach(), "temperature": temperature.detach()}
        return loss_B.mean(), report | {"batch_recall": hit.float().mean()}


def same_caption(captions: list[str]) -> Tensor:
    """(B, B) booleans, True where two clips carry the same caption; True on the diagonal."""
    index = {caption: i for i, caption in enumerate(captions)}
    ids = torch.tensor([index[caption] for caption in captions])
    return ids[:, None] == ids[None, :]


def info_nce(audio_BE: Tensor, text_BE: Tensor, temperature: Tensor, positive_BB: Tensor) -> Tensor:
    """Mean over both directions of the cross-entropy to a uniform target over the positives: (B,) in nats."""
    logits = audio_BE @ text_BE.T / temperature
    target = positive_BB.float() / positive_BB.sum(1, keepdim=True)
    by_audio = -(target * logits.log_softmax(1)).sum(1)
    by_text = -(target * logits.T.log_softmax(1)).sum(1)
    return (by_audio + by_text) / 2


@OBJECTIVES.register("contrastive")
@dataclass
class ContrastiveConfig:
    """InfoNCE. CaptionStew fixes the temperature at 0.07."""

    temperature: float = 0.07
    learn_temperature: bool = False
    min_temperature: float = 0.01

    def build(self) -> Contrastive:
        return Contrastive(self)
