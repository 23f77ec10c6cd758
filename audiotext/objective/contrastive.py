"""Symmetric InfoNCE between clips and their captions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiotext.config import ConfigError
from audiotext.distributed import World
from audiotext.model import AudioTextModel
from audiotext.objective.base import OBJECTIVES, Objective
from audiotext.objective.pairs import Pairs, pair
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
        pairs = pair(model, batch, self.config.captions_per_clip if self.training else 1, self.peers)
        temperature = self.log_temperature.exp().clamp(min=self.config.min_temperature)
        loss_B, hit_B = info_nce(pairs, temperature, self.peers, self.config.chunk)
        report = {"loss_per_clip": loss_B.detach(), "temperature": temperature.detach()}
        return self.mean(loss_B), report | {"batch_recall": hit_B.float().mean()}


def info_nce(
    pairs: Pairs, temperature: Tensor, world: World | None = None, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """Mean over both directions of the cross-entropy to a uniform target over the positives: (B,) in nats.

    A text's loss counts for the clip that it was drawn for. Each process compares its own clips with all texts, once
    for both directions: what a text's softmax over all clips needs of each process is its log-sum-exp over the clips
    there. ``world`` is that of the pairs. Also returns whether the nearest text is one of the clip's own, (B,).
    """

    def measure(similarity_cM: Tensor, positive_cM: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = similarity_cM / temperature
        wanted = torch.where(positive_cM, logits, 0.0)
        by_audio = logits.logsumexp(1) - wanted.sum(1) / positive_cM.sum(1)
        texts = torch.stack([logits.logsumexp(0), wanted.sum(0), positive_cM.sum(0).to(logits.dtype)])
        return by_audio, texts, positive_cM.gather(1, logits.argmax(1, keepdim=True)).squeeze(1)

    by_audio, texts, hit = zip(*pairs.measured(measure, chunk), strict=True)
    texts, _ = (world or World()).gather(_over_clips(torch.stack(texts))[None])
    logsumexp, wanted, count = _over_clips(texts)
    by_text, loss_B = (logsumexp - wanted / count)[pairs.own], torch.cat(by_audio)
    texts_B = torch.zeros_like(loss_B).index_add(0, pairs.owner_m, torch.ones_like(by_text))
    by_owner_B = torch.zeros_like(loss_B).index_add(0, pairs.owner_m, by_text) / texts_B
    return (loss_B + by_owner_B) / 2, torch.cat(hit)


def _over_clips(parts: Tensor) -> Tensor:
    """Log-sum-exp, sum of positive logits and number of positives of each text, parts joined: (P, 3, M) -> (3, M)."""
    return torch.stack([parts[:, 0].logsumexp(0), parts[:, 1].sum(0), parts[:, 2].sum(0)])


@OBJECTIVES.register("contrastive")
@dataclass
class ContrastiveConfig:
    """InfoNCE. CaptionStew fixes the temperature at 0.07 and draws one caption per clip."""

    temperature: float = 0.07
    learn_temperature: bool = False
    min_temperature: float = 0.01
    captions_per_clip: int = 1
    """Captions drawn for each clip and step, where it has as many."""
    chunk: int | None = None
    """Clips compared with all texts at a time, so that memory does not grow with the square of the batch; null
    compares all at once. The loss and its gradient stay the same."""

    def __post_init__(self) -> None:
        if self.chunk is not None and self.chunk < 1:
            raise ConfigError(f"chunk: must be at least 1, got {self.chunk}")

    def build(self) -> Contrastive:
        return Contrastive(self)
