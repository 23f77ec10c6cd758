"""Captioning: predict the caption from the audio, autoregressively for some and in parallel for others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiotext.config import ConfigError
from audiotext.model import AudioTextModel
from audiotext.objective.base import OBJECTIVES, Objective, draw_captions
from audiotext.types import Batch, EncoderOutput, Padded


class Captioning(Objective):
    """The autoregressive / parallel mixture of CapPa (Tschannen et al., NeurIPS 2023), as CaptionStew pretrains.

    Parallel captions see only mask tokens, without a causal mask, and are not asked for the end of the sentence:
    every word must then come from the audio.
    """

    parts = frozenset({"text_decoder"})

    def __init__(self, config: CaptioningConfig):
        super().__init__()
        if not 0 <= config.parallel <= 1:
            raise ConfigError(f"objective.parallel: expected a share between 0 and 1, got {config.parallel}")
        self.config = config

    def forward(self, model: AudioTextModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        memory = model.encode_audio(batch.feats)
        texts, owner = draw_captions(batch, self.config.captions_per_clip if self.training else 1)
        owner = owner.to(model.device)
        tokens = model.tokenizer.encode(texts, max_tokens=self.config.max_tokens).to(model.device)
        count = round(len(texts) * self.config.parallel)
        if self.training:  # which captions are parallel is drawn anew each step; validation takes the first ones
            order = torch.randperm(len(texts)).to(model.device)
        else:
            order = torch.arange(len(texts), device=model.device)
        loss_M = torch.zeros(len(texts), device=model.device)
        report = {}
        for rows, parallel in ((order[:count], True), (order[count:], False)):
            if len(rows):
                frames = EncoderOutput(memory.frames[owner[rows]], memory.lengths[owner[rows]])
                loss, accuracy = self._loss(model, frames, tokens, rows, parallel)
                loss_M = loss_M.index_copy(0, rows, loss)
                report[f"accuracy_{'parallel' if parallel else 'autoregressive'}"] = accuracy
        texts_B = torch.zeros(len(batch), device=model.device).index_add(0, owner, torch.ones_like(loss_M))
        loss_B = torch.zeros(len(batch), device=model.device).index_add(0, owner, loss_M) / texts_B
        report["loss_per_clip"] = loss_B.detach()
        return self.mean(loss_B), report

    def _loss(
        self, model: AudioTextModel, memory: EncoderOutput, tokens: Padded, rows: Tensor, parallel: bool
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each caption (N,) and token accuracy over the captions named by ``rows`` (N,)."""
        target, lengths = tokens.data[rows, 1:], tokens.lengths[rows] - 1
        inputs = tokens.data[rows, :-1]
        if parallel:
            inputs = torch.full_like(inputs, model.tokenizer.mask_id)
            lengths = (lengths - 1).clamp(min=1)  # the end of the sentence is not asked for
        logits = model.text_decoder(Padded(inputs, lengths), memory, causal=not parallel).float()
        valid = Padded(target, lengths).mask()
        loss_BU = nn.functional.cross_entropy(
            logits.transpose(1, 2), target, reduction="none", label_smoothing=self.config.label_smoothing
        )
        loss = (loss_BU * valid).sum(1) / lengths
        accuracy = ((logits.argmax(-1) == target) & valid).sum() / valid.sum()
        return loss, accuracy.detach()


@OBJECTIVES.register("captioning")
@dataclass
class CaptioningConfig:
    """CaptionStew's mixture: a quarter of the clips autoregressive, the rest parallel; label smoothing 0.1."""

    parallel: float = 0.75
    label_smoothing: float = 0.1
    max_tokens: int = 64
    captions_per_clip: int = 1
    """Captions drawn for each clip and step, where it has as many; the encoder runs once for all of them."""

    def build(self) -> Captioning:
        return Captioning(self)
