"""What text encoder and decoder share: attention, feed-forward, token embeddings, and the checks of their sizes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from audiotext.config import ConfigError

KeyValue = tuple[Tensor, Tensor]
"""Keys and values, each (B, heads, U, dim / heads)."""


def check_sizes(config: object, least_layers: int = 1) -> None:
    """Raise ConfigError unless ``dim`` divides by ``heads``, sizes are large enough and ``dropout`` is in [0, 1)."""
    for name in ("dim", "layers", "heads", "feedforward", "positions"):
        least = least_layers if name == "layers" else 1
        if getattr(config, name) < least:
            raise ConfigError(f"{name}: expected {least} or more, got {getattr(config, name)}")
    if config.dim % config.heads:
        raise ConfigError(f"dim {config.dim} does not divide into {config.heads} heads")
    if not 0 <= config.dropout < 1:
        raise ConfigError(f"dropout: expected a value in [0, 1), got {config.dropout}")


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, section 3.2), keys and values made apart.

    Making them apart lets a decoder keep them from step to step.
    """

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key_value, self.output = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def keys_values(self, x: Tensor) -> KeyValue:
        """(B, U, dim) -> keys and values."""
        keys, values = self.key_value(x).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(self, x: Tensor, keys_values: KeyValue, mask: Tensor | None = None) -> Tensor:
        """Queries from ``x`` (B, U, dim); ``mask`` is True where a key may be seen, broadcast to (B, 1, U, keys)."""
        dropout = self.dropout if self.training else 0.0
        queries = self._split(self.query(x))
        mixed = scaled_dot_product_attention(queries, *keys_values, attn_mask=mask, dropout_p=dropout)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


def feed_forward(dim: int, hidden: int, dropout: float) -> nn.Sequential:
    """Linear, GELU, dropout, linear: (..., dim) -> (..., dim)."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim))


class TokenEmbedding(nn.Module):
    """Token plus learnt position embedding: ids (B, U) -> (B, U, dim)."""

    def __init__(self, vocab_size: int, positions: int, dim: int, dropout: float):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab_size, dim), nn.Embedding(positions, dim)
        # The output layer may share these weights: logits then start with a deviation of about one.
        for table in (self.tokens, self.positions):
            nn.init.normal_(table.weight, std=dim**-0.5)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, start: int = 0) -> Tensor:
        """``start`` is the position of the first id. Raises ConfigError for a text longer than ``positions``."""
        stop = start + ids.shape[1]
        if stop > self.positions.num_embeddings:
            raise ConfigError(
                f"a text of {stop} tokens does not fit the {self.positions.num_embeddings} positions of this model; "
                "cut the text, or raise positions in the text part's configuration"
            )
        return self.dropout(self.tokens(ids) + self.positions(torch.arange(start, stop, device=ids.device)))
