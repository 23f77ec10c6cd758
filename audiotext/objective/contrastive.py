"""Symmetric InfoNCE between clips and their captions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiotext.model import AudioTextModel
from audiotext.objective.base import OBJECTIVES, Objective, draw_captions, similarities
from audiotext.types import Batch


class Contrastive(Objective):
    """Symmetric InfoNCE (van den Oord et al. 2018; CLIP, Radford et al. 2021), as CaptionStew pretrains.

    Several captions of each clip may be drawn per step: text is cheap beside audio. A text is a positive for every
    clip that carries it, also where it was drawn for another one: corpora whose captions are labels would otherwise
    push true pairs apart.
    """

    parts = frozenset({"text_encoder"})

    def __init__(self, config: ContrastiveConfig):
        super().__init__()
        self.config = config
        log_temperature = torch.tensor(math.log(config.temperature))
        self.log_temperature = nn.Parameter(log_temperature, requires_grad=config.learn_temperature)

    def forward(self, model: AudioTextModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        audio = nn.functional.normalize(model.project_audio(model.encode_audio(batch.feats)).float(), dim=-1)
        texts, owner = draw_captions(batch, self.config.captions_per_clip if self.training else 1)
        text, owner = model.embed_text(texts), owner.to(audio.device)
        positive = carries(batch.captions, texts).to(audio.device)
        temperature = self.log_temperature.exp().clamp(min=self.config.min_temperature)
        loss_B = info_nce(audio, text, temperature, positive, owner)
        with torch.no_grad():
            hit = positive.gather(1, similarities(audio, text).argmax(1, keepdim=True))
        report = {"loss_per_clip": loss_B.detach(), "temperature": temperature.detach()}
        return loss_B.mean(), report | {"batch_recall": hit.float().mean()}


def carries(captions: list[list[str]], texts: list[str]) -> Tensor:
    """(B, M) booleans, True where the clip has the text among its ``captions`` (B lists)."""
    return torch.tensor([[text in own for text in texts] for own in map(set, captions)])


def info_nce(audio_BE: Tensor, text_ME: Tensor, temperature: Tensor, positive_BM: Tensor, owner_M: Tensor) -> Tensor:
    """Mean over both directions of the cross-entropy to a uniform target over the positives: (B,) in nats.

    ``owner_M`` names the clip that each text was drawn for; the text-to-audio loss counts for that clip.
    """
    logits, positive = similarities(audio_BE, text_ME) / temperature, positive_BM.float()
    by_audio = -(positive / positive.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1)
    by_text = -(positive / positive.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0)
    texts_B = torch.zeros_like(by_audio).index_add(0, owner_M, torch.ones_like(by_text))
    return (by_audio + torch.zeros_like(by_audio).index_add(0, owner_M, by_text) / texts_B) / 2


@OBJECTIVES.register("contrastive")
@dataclass
class ContrastiveConfig:
    """InfoNCE. CaptionStew fixes the temperature at 0.07 and draws one caption per clip."""

    temperature: float = 0.07
    learn_temperature: bool = False
    min_temperature: float = 0.01
    captions_per_clip: int = 1
    """Captions drawn for each clip and step, where it has as many."""

    def build(self) -> Contrastive:
        return Contrastive(self)
