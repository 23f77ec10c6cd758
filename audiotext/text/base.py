"""Contracts of the text side: encoder (tokens -> one vector) and decoder (tokens + audio frames -> next tokens)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from audiotext.config import Registry
from audiotext.text.search import Nucleus
from audiotext.types import EncoderOutput, Padded

TEXT_ENCODERS = Registry("text encoder")
TEXT_DECODERS = Registry("text decoder")


class TextEncoder(nn.Module):
    """Token ids (B, U) with lengths -> one vector per text (B, output_dim). Padding-invariant.

    A config's ``build(vocab_size)`` makes it.
    """

    output_dim: int
    max_tokens: int = 64
    """Longer texts are cut to so many tokens."""

    def forward(self, tokens: Padded) -> Tensor:
        raise NotImplementedError


class TextDecoder(nn.Module):
    """Predicts tokens from tokens and audio frames. A config's ``build(vocab_size, memory_dim)`` makes it."""

    def forward(self, tokens: Padded, memory: EncoderOutput, causal: bool = True) -> Tensor:
        """Ids (B, U) -> logits (B, U, V). With ``causal=False`` every position sees every other."""
        raise NotImplementedError

    def generate(
        self,
        memory: EncoderOutput,
        bos: int,
        eos: int,
        max_tokens: int = 32,
        beam: int = 1,
        prompt: Padded | None = None,
        nucleus: Nucleus | None = None,
        numbers: Sequence[int] | None = None,
    ) -> list[list[int]]:
        """Greedy (beam 1), beam search or ``nucleus`` sampling, with a key-value cache.

        Returns ids without bos and eos, one list per clip.

        ``prompt`` tokens, where given, follow bos and are not part of what is returned. ``numbers`` are those of the
        clips, from which the draws of a nucleus follow; without them the places in the batch.
        """
        raise NotImplementedError

    def listening(self) -> list[nn.Module]:
        """What reads the audio frames: their projection, and cross-attention with its norms."""
        raise NotImplementedError

    def listen_to(self, memory_dim: int) -> None:
        """Replace the projection of the audio frames by a new, random one of frames of this width."""
        raise NotImplementedError
