"""Text encoder: a pre-norm Transformer over tokens, pooled to one vector.

A Hugging Face text model is no member: it reads the ids of its own tokenizer, and this contract hands an encoder
the ids of the model's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from audiotext.text.attention import Attention, TokenEmbedding, check_sizes, feed_forward
from audiotext.text.base import TEXT_ENCODERS, TextEncoder
from audiotext.types import Padded


@TEXT_ENCODERS.register("transformer")
@dataclass
class TransformerTextEncoderConfig:
    """A bidirectional Transformer encoder (Vaswani et al. 2017; pre-norm as in Xiong et al. 2020)."""

    dim: int = 144
    layers: int = 2
    """0 leaves the mean of the pieces' embeddings, a bag of words: little data teaches it soonest."""
    heads: int = 4
    feedforward: int = 432
    """Hidden width of the feed-forward part."""
    positions: int = 128
    """Longest text in tokens."""
    dropout: float = 0.1
    pooling: Literal["mean", "first"] = "mean"
    """Average over the text's tokens, or take the first token's output."""

    def __post_init__(self) -> None:
        check_sizes(self, least_layers=0)

    def build(self, vocab_size: int) -> TransformerTextEncoder:
        return TransformerTextEncoder(self, vocab_size)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each normalised before and added to its input: (B, U, dim) -> (B, U, dim)."""

    def __init__(self, config: TransformerTextEncoderConfig):
        super().__init__()
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.attention = Attention(config.dim, config.heads, config.dropout)
        self.feedforward = feed_forward(config.dim, config.feedforward, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, self.attention.keys_values(y), mask))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


class TransformerTextEncoder(TextEncoder):
    """Ids (B, U) -> (B, dim)."""

    def __init__(self, config: TransformerTextEncoderConfig, vocab_size: int):
        super().__init__()
        self.output_dim, self.pooling = config.dim, config.pooling
        self.max_tokens = min(self.max_tokens, config.positions)
        self.embedding = TokenEmbedding(vocab_size, config.positions, config.dim, config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, tokens: Padded) -> Tensor:
        mask = tokens.mask()
        x = self.embedding(tokens.data)
        for layer in self.layers:
            x = layer(x, mask[:, None, None, :])
        x = self.norm(x)
        if self.pooling == "first":
            return x[:, 0]
        weights = mask.to(x.dtype).unsqueeze(2)
        return (x * weights).sum(1) / weights.sum(1).clamp(min=1)
