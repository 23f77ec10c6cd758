"""Text decoder: a pre-norm Transformer that predicts tokens from tokens and audio frames.

Autoregressive and parallel prediction (all input positions masked, full self-attention) follow CapPa (Tschannen et
al. 2023, "Image captioners are scalable vision learners too", section 3); the caller chooses with ``causal``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from audiotext.config import ConfigError
from audiotext.text.attention import Attention, KeyValue, TokenEmbedding, check_sizes, feed_forward
from audiotext.text.base import TEXT_DECODERS, TextDecoder
from audiotext.text.search import Nucleus, beam_search, nucleus_search
from audiotext.types import EncoderOutput, Padded


@TEXT_DECODERS.register("transformer")
@dataclass
class TransformerTextDecoderConfig:
    """A Transformer decoder with cross-attention over audio frames (Vaswani et al. 2017; pre-norm)."""

    dim: int = 144
    layers: int = 2
    heads: int = 4
    feedforward: int = 432
    """Hidden width of the feed-forward part."""
    positions: int = 128
    """Longest text in tokens, prompt included."""
    dropout: float = 0.1
    tied: bool = True
    """Share the token embedding with the output layer."""
    length_power: float = 1.0
    """Beam search ranks by the sum of log-probabilities divided by the length to this power; 0 ranks by the sum."""

    def __post_init__(self) -> None:
        check_sizes(self)

    def build(self, vocab_size: int, memory_dim: int) -> TransformerTextDecoder:
        return TransformerTextDecoder(self, vocab_size, memory_dim)


@dataclass
class LayerCache:
    """One layer's keys and values: ``memory`` of the audio frames, ``past`` of the tokens so far."""

    memory: KeyValue
    past: KeyValue | None = None


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward, each normalised before and added to its input."""

    def __init__(self, config: TransformerTextDecoderConfig):
        super().__init__()
        self.attention_norm, self.cross_norm = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.feedforward_norm = nn.LayerNorm(config.dim)
        self.attention = Attention(config.dim, config.heads, config.dropout)
        self.cross = Attention(config.dim, config.heads, config.dropout)
        self.feedforward = feed_forward(config.dim, config.feedforward, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, cache: LayerCache, mask: Tensor | None, memory_mask: Tensor) -> Tensor:
        """``x`` (B, U, dim) holds the tokens after ``cache.past``, which grows by them."""
        y = self.attention_norm(x)
        new = self.attention.keys_values(y)
        if cache.past is not None:
            new = tuple(torch.cat(pair, dim=2) for pair in zip(cache.past, new, strict=True))
        cache.past = new
        x = x + self.dropout(self.attention(y, new, mask))
        x = x + self.dropout(self.cross(self.cross_norm(x), cache.memory, memory_mask))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


class TransformerTextDecoder(TextDecoder):
    """Ids (B, U) and audio frames (B, T, memory_dim) -> logits (B, U, V)."""

    def __init__(self, config: TransformerTextDecoderConfig, vocab_size: int, memory_dim: int):
        super().__init__()
        self.positions, self.length_power = config.positions, config.length_power
        self.memory_projection = nn.Linear(memory_dim, config.dim)
        self.memory_norm = nn.LayerNorm(config.dim)
        self.embedding = TokenEmbedding(vocab_size, config.positions, config.dim, config.dropout)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.output = None if config.tied else nn.Linear(config.dim, vocab_size, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, tokens: Padded, memory: EncoderOutput, causal: bool = True) -> Tensor:
        mask = tokens.mask()[:, None, None, :]
        if causal:
            size = tokens.data.shape[1]
            mask = mask & torch.ones(size, size, dtype=torch.bool, device=mask.device).tril()
            # A first token exists in every text, so no row of the mask is empty.
        return self._logits(self._run(tokens.data, self._caches(memory), mask, memory.mask()[:, None, None, :]))

    @torch.no_grad()
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
        """Raises ConfigError where prompt and ``max_tokens`` together exceed the decoder's positions."""
        if beam < 1 or max_tokens < 1:
            raise ConfigError(f"generate: beam and max_tokens must be 1 or more, got {beam} and {max_tokens}")
        if nucleus is not None and beam > 1:
            raise ConfigError(f"generate: a text is sampled or searched, not both, got beam {beam} and a nucleus")
        longest = max_tokens + (0 if prompt is None else int(prompt.lengths.max()))
        if longest > self.positions:
            raise ConfigError(f"generate: {longest} tokens (prompt included) exceed the {self.positions} positions")
        training = self.training
        self.eval()
        try:
            caches = self._caches(memory)
            for cache in caches:
                cache.memory = tuple(x.repeat_interleave(beam, dim=0) for x in cache.memory)
            memory_mask = memory.mask().repeat_interleave(beam, dim=0)[:, None, None, :]

            def step(ids: Tensor, order: Tensor | None) -> Tensor:
                """Log-probabilities (N, V) after the new ``ids`` (N, U); rows of the cache first move to ``order``."""
                for cache in caches:
                    if order is not None:
                        cache.past = tuple(x[order] for x in cache.past)
                past = 0 if caches[0].past is None else caches[0].past[0].shape[2]
                new = ids.shape[1]
                mask = torch.ones(new, past + new, dtype=torch.bool, device=ids.device).tril(past)
                logits = self._logits(self._run(ids, caches, mask, memory_mask)[:, -1]).float()
                logits[:, bos] = -torch.inf  # a text begins once
                return logits.log_softmax(-1)

            start = torch.full((len(memory.lengths), 1), bos, dtype=torch.int64, device=memory.frames.device)
            if nucleus is not None:
                numbers = range(len(start)) if numbers is None else numbers
                return nucleus_search(step, start, eos, max_tokens, nucleus, numbers, prompt)
            return beam_search(step, start, eos, max_tokens, beam, prompt, self.length_power)
        finally:
            self.train(training)

    def listening(self) -> list[nn.Module]:
        layers = [part for layer in self.layers for part in (layer.cross_norm, layer.cross)]
        return [self.memory_projection, self.memory_norm, *layers]

    def listen_to(self, memory_dim: int) -> None:
        self.memory_projection = nn.Linear(memory_dim, self.memory_projection.out_features)

    def _caches(self, memory: EncoderOutput) -> list[LayerCache]:
        frames = self.memory_norm(self.memory_projection(memory.frames))
        return [LayerCache(layer.cross.keys_values(frames)) for layer in self.layers]

    def _run(self, ids: Tensor, caches: list[LayerCache], mask: Tensor, memory_mask: Tensor) -> Tensor:
        x = self.embedding(ids, start=0 if caches[0].past is None else caches[0].past[0].shape[2])
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer(x, cache, mask, memory_mask)
        return self.norm(x)

    def _logits(self, x: Tensor) -> Tensor:
        weight = self.embedding.tokens.weight if self.output is None else self.output.weight
        return linear(x, weight, self.output_bias)
