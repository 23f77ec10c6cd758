"""The model: frontend, encoder, and what ties audio to text. Built from one config, pruned to what is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from audiotext import encoder as _encoders  # noqa: F401  registers the members
from audiotext import frontend as _frontends  # noqa: F401
from audiotext.config import ConfigError, part
from audiotext.encoder.base import ENCODERS
from audiotext.frontend.base import FRONTENDS
from audiotext.head.classifier import ClassifierConfig
from audiotext.head.pooling import POOLINGS
from audiotext.head.projection import Projection
from audiotext.text import decoder as _decoder  # noqa: F401
from audiotext.text import encoder as _encoder  # noqa: F401
from audiotext.text.base import TEXT_DECODERS, TEXT_ENCODERS
from audiotext.text.search import Nucleus
from audiotext.text.tokenizer import Tokenizer
from audiotext.types import EncoderOutput, Padded

OPTIONAL_PARTS = ("text_encoder", "text_decoder", "classifier")


@dataclass
class ModelConfig:
    """Every part of a model. ``text_encoder``, ``text_decoder`` and ``classifier`` may be null."""

    frontend: Any = part(FRONTENDS, "fbank")
    encoder: Any = part(ENCODERS, "zipformer")
    pooling: Any = part(POOLINGS, "mean")
    text_encoder: Any = part(TEXT_ENCODERS)
    text_decoder: Any = part(TEXT_DECODERS)
    classifier: ClassifierConfig | None = None
    embed_dim: int = 256
    """Width E of the space that audio and text share."""
    pool_first: bool = False
    """Pool encoder frames before the projection; false projects every frame first, as the paper does."""

    def pruned(self, parts: Iterable[str]) -> ModelConfig:
        """The same model without the optional parts that are not named. Raises ConfigError for one that is null."""
        parts = set(parts)
        for name in parts:
            if getattr(self, name, None) is None:
                raise ConfigError(f"the objective needs model.{name}, which this model's configuration leaves empty")
        return dataclasses.replace(self, **{name: None for name in OPTIONAL_PARTS if name not in parts})

    def build(self, tokenizer: Tokenizer | None = None) -> AudioTextModel:
        return AudioTextModel(self, tokenizer)


class AudioTextModel(nn.Module):
    """An audio encoder with, where the config names them, a text encoder, a text decoder and a classifier."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer | None = None):
        super().__init__()
        needs_text = config.text_encoder is not None or config.text_decoder is not None
        if needs_text and tokenizer is None:
            raise ConfigError("a model with a text part needs a tokenizer")
        self.config, self.tokenizer = config, tokenizer
        self.frontend = config.frontend.build()
        self.encoder = config.encoder.build(self.frontend.feature_dim)
        width = self.encoder.output_dim
        self.text_encoder = self.text_decoder = None
        if config.text_encoder is not None:
            self.text_encoder = config.text_encoder.build(tokenizer.vocab_size)
            first = config.embed_dim if not config.pool_first else width
            self.pooling = config.pooling.build(first)
            self.audio_projection = Projection(
                self.pooling.output_dim if config.pool_first else width, config.embed_dim, config.embed_dim
            )
            self.text_projection = Projection(self.text_encoder.output_dim, config.embed_dim, config.embed_dim)
        if config.text_decoder is not None:
            self.text_decoder = config.text_decoder.build(tokenizer.vocab_size, width)
        self.classifier = config.classifier.build(width) if config.classifier is not None else None

    @property
    def device(self) -> torch.device:
        return next((p.device for p in self.parameters()), torch.device("cpu"))  # an encoder may learn nothing

    def encode_audio(self, feats: Padded) -> EncoderOutput:
        """Filterbanks (B, T, F) -> encoder frames (B, T', D)."""
        return self.encoder(feats)

    def project_audio(self, output: EncoderOutput) -> Tensor:
        """Encoder frames -> unnormalised shared-space vectors (B, E)."""
        if self.config.pool_first:
            return self.audio_projection(self.pooling(output.frames, output.mask()))
        return self.pooling(self.audio_projection(output.frames), output.mask())

    def embed_audio(self, feats: Padded) -> Tensor:
        """Filterbanks -> unit vectors in the shared space (B, E)."""
        self._require("text_encoder", "embed audio in the space shared with text")
        return nn.functional.normalize(self.project_audio(self.encode_audio(feats)).float(), dim=-1)

    def project_text(self, texts: list[str]) -> Tensor:
        """Texts -> unnormalised shared-space vectors (B, E)."""
        self._require("text_encoder", "embed text")
        tokens = self.tokenizer.encode(texts, max_tokens=self.text_encoder.max_tokens).to(self.device)
        return self.text_projection(self.text_encoder(tokens))

    def embed_text(self, texts: list[str]) -> Tensor:
        """Texts -> unit vectors in the shared space (B, E)."""
        return nn.functional.normalize(self.project_text(texts).float(), dim=-1)

    def generate(
        self,
        output: EncoderOutput,
        beam: int = 1,
        max_tokens: int = 32,
        nucleus: Nucleus | None = None,
        numbers: Sequence[int] | None = None,
    ) -> list[str]:
        """Caption each clip of an encoder output; greedily for ``beam`` 1, or drawn from a ``nucleus``.

        ``numbers`` of the clips decide their draws; without them their places in the batch do.
        """
        self._require("text_decoder", "generate captions")
        ids = self.text_decoder.generate(
            output, self.tokenizer.bos_id, self.tokenizer.eos_id, max_tokens, beam, nucleus=nucleus, numbers=numbers
        )
        return self.tokenizer.decode(ids)

    def classify(self, feats: Padded) -> Tensor:
        """Filterbanks -> logits (B, C) of the classes ``classifier.labels``."""
        self._require("classifier", "classify audio")
        output = self.encode_audio(feats)
        return self.classifier(output.frames, output.mask())

    def set_step(self, step: int) -> None:
        """Pass the trainer's step to parts whose strength follows a schedule."""
        self.encoder.set_step(step)

    def _require(self, name: str, purpose: str) -> None:
        if getattr(self, name) is None:
            raise ConfigError(f"this model has no {name} and cannot {purpose}")
