"""Captioning: predict the caption from the audio, autoregressively for some clips and in parallel for the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiotext.config import ConfigError
from audiotext.model import AudioTextModel
from audiotext.objective.base import OBJECTIVES, Objective
from audiotext.types import Batch, EncoderOutput, Padded


class Captioning(Objective):
    """The autoregressive / parallel mixture of CapPa (Tschannen et al., NeurIPS 2023), as CaptionStew pretrains.

    Parallel clips see only mask tokens, without a causal mask, and are not asked for the end of the sentence:
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
        tokens = model.tokenizer.encode(batch.caption, max_tokens=self.config.max_tokens).to(model.device)
        count = round(len(batch) * self.config.parallel)
        if self.training:  # which clips are parallel is drawn anew each step; validation takes the first ones
            order = torch.randperm(len(batch)).to(model.device)
        else:
            order = torch.arange(len(batch), device=model.device)
        loss_B = torch.zeros(len(batch), device=model.device)
        report = {}
        for rows, parallel in ((order[:count], True), (order[count:], False)):
            if len(rows):
                loss, accuracy = self._loss(model, memory, tokens, rows, parallel)
                loss_B = loss_B.index_copy(0, rows, loss)
                report[f"accuracy_{'parallel' if parallel else 'autoregressive'}"] = accuracy
        report["loss_per_clip"] = loss_B.detach()
        return loss_B.mean(), report

    def _loss(
        self, model: AudioTextModel, memory: EncoderOutput, tokens: Padded, rows: Tensor, parallel: bool
    ) -> tuple[Tensor, Tensor]:
        """Per-clip cross-entropy (N,) and token accuracy over the clips named by ``rows`` (N,)."""
        target, lengths = tokens.data[rows, 1:], tokens.lengths[rows] - 1
        inputs = tokens.data[rows, :-1]
        if parallel:
            inputs = torch.full_like(inputs, model.tokenizer.mask_id)
            lengths = (lengths - 1).clamp(min=1)  # the end of the sentence is not asked for
        memory = EncoderOutput(memory.frames[rows], memory.lengths[rows])
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

    def build(self) -> Captioning:
        return Captioning(self)
