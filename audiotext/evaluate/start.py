"""A decoder that exists already, to start one on frozen frames: the text side of a pretrained model."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

from audiotext.config import ConfigError
from audiotext.hub import load_model
from audiotext.text.base import TextDecoder
from audiotext.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Start:
    """The text decoder of a model folder, its tokenizer, and the hash of the folder's content."""

    decoder: TextDecoder
    tokenizer: Tokenizer
    content_hash: str

    @classmethod
    def of(cls, folder: Path) -> Start:
        """Raises ModelFolderError for what is no model folder, ConfigError for a model without a text decoder."""
        model = load_model(folder)
        if model.text_decoder is None:
            raise ConfigError(f"start: {folder} has no text decoder; a model pretrained by captioning has one")
        return cls(model.text_decoder, model.tokenizer, model.content_hash)

    def build(self, memory_dim: int, cross_attention_only: bool) -> TextDecoder:
        """A copy that attends to frames (B, T, memory_dim).

        The projection of the frames is new and random, whatever its width: the encoder that the decoder was pretrained
        with has no head start there. With ``cross_attention_only`` nothing but `TextDecoder.listening` has a gradient.
        """
        decoder = copy.deepcopy(self.decoder).requires_grad_(not cross_attention_only)
        decoder.listen_to(memory_dim)
        for part in decoder.listening():
            part.requires_grad_(True)
        return decoder
