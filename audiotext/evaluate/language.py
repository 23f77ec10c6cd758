"""Language models on frozen encoder frames, for captioning and questions; the default is a small decoder of our own."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from audiotext.config import ConfigError, Registry, part
from audiotext.evaluate.adapter import ADAPTERS
from audiotext.evaluate.context import Context
from audiotext.evaluate.fit import FitConfig, FitReport, fit, seeded
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.start import Start
from audiotext.text import decoder as _decoder  # noqa: F401  registers it
from audiotext.text.base import TEXT_DECODERS
from audiotext.text.search import Nucleus
from audiotext.text.tokenizer import Tokenizer
from audiotext.types import Padded

LANGUAGE_MODELS = Registry("language model")


@LANGUAGE_MODELS.register("decoder")
@dataclass
class LanguageConfig:
    """The decoder, its adapter and how both are trained; the encoder stays as it is."""

    adapter: Any = part(ADAPTERS, "linear")
    decoder: Any = part(TEXT_DECODERS, "transformer")
    fit: FitConfig = field(default_factory=lambda: FitConfig(epochs=16, lr=2e-3, validate_every=2, patience=3))
    label_smoothing: float = 0.1
    max_tokens: int = 32
    """Longest text that is learnt or generated, in tokens."""
    start: Path | None = None
    """Model folder whose text decoder, with its weights and its tokenizer, takes the place of ``decoder``."""
    train: Literal["all", "cross_attention"] = "all"
    """How much of the decoder is trained; with ``cross_attention`` the rest stays as it is in ``start``."""

    def __post_init__(self) -> None:
        if self.start is not None:
            self.decoder = None
        elif self.train != "all":
            raise ConfigError(
                f"train: {self.train} needs start, a model folder with a text decoder: one that is random and stays so "
                "writes nothing"
            )

    @functools.cached_property
    def started(self) -> Start | None:
        return Start.of(self.start) if self.start is not None else None

    @property
    def words(self) -> str:
        """How a protocol speaks of it."""
        if self.start is None:
            return "a small decoder, random at first"
        trained = "all of it" if self.train == "all" else "its cross-attention alone"
        return f"the decoder of {self.start}, pretrained with that model's encoder; {trained}"

    def tokenizer(self, context: Context) -> Tokenizer:
        return self.started.tokenizer if self.started else context.tokenizer

    def facts(self, context: Context) -> dict[str, str]:
        """What decides the score besides this configuration: part of the settings that make a result stale."""
        found = {"tokenizer": hashlib.sha256(self.tokenizer(context).__getstate__()).hexdigest()[:16]}
        return found | ({"start": self.started.content_hash} if self.started else {})

    def build(self, input_dim: int, tokenizer: Tokenizer) -> FrameDecoder:
        return FrameDecoder(self, input_dim, tokenizer)


@dataclass(frozen=True)
class Example:
    """A text to learn for one clip: ``clip`` is its position among the frozen frames."""

    clip: int
    target: str
    prompt: str = ""


class LanguageModel(nn.Module):
    """Frozen frames and a prompt -> text: what a config's ``build(input_dim, tokenizer)`` makes."""

    def token_losses(self, frames: FrozenFrames, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """Cross-entropy of every token of the targets and of their ends (N,), and which example it is of (N,)."""
        raise NotImplementedError

    def generate(
        self,
        frames: FrozenFrames,
        clips: Sequence[int],
        prompts: Sequence[str] = (),
        beam: int = 1,
        batch: int = 64,
        nucleus: Nucleus | None = None,
    ) -> list[str]:
        """One text per member of ``clips`` (positions among ``frames``, repeats allowed), in their order.

        Searched with ``beam``, or drawn from ``nucleus``: of each text by its place in ``clips``, whatever the batch.
        """
        raise NotImplementedError

    def loss(self, frames: FrozenFrames, examples: Sequence[Example]) -> Tensor:
        """Mean over the tokens of the targets and their ends; prompts are given, not predicted."""
        return self.token_losses(frames, examples)[0].mean()

    @torch.no_grad()
    def log_likelihood(self, frames: FrozenFrames, examples: Sequence[Example], batch: int = 64) -> list[float]:
        """Mean log-probability a token of each target, its end included."""
        order = sorted(range(len(examples)), key=lambda i: (frames.lengths[examples[i].clip], i))
        found = [0.0] * len(examples)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            losses, owners = self.token_losses(frames, [examples[i] for i in rows])
            for n, i in enumerate(rows):
                found[i] = -float(losses[owners == n].double().mean())
        return found


class FrameDecoder(LanguageModel):
    """Adapter and small decoder; both are trained here, or of a decoder that existed already its cross-attention."""

    def __init__(self, config: LanguageConfig, input_dim: int, tokenizer: Tokenizer):
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.adapter = config.adapter.build(input_dim)
        if config.started is None:
            self.decoder = config.decoder.build(tokenizer.vocab_size, config.adapter.dim)
        else:
            self.decoder = config.started.build(config.adapter.dim, config.train == "cross_attention")
        self._ids = functools.cache(tokenizer.ids)

    def token_losses(self, frames: FrozenFrames, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        special, limit = self.tokenizer, self.config.max_tokens
        prompts = [self._ids(e.prompt) for e in examples]
        rows = [
            [special.bos_id, *prompt, *self._ids(e.target)[:limit], special.eos_id]
            for e, prompt in zip(examples, prompts, strict=True)
        ]
        tokens = torch.full((len(rows), max(map(len, rows))), special.pad_id)
        asked = torch.zeros(len(rows), tokens.shape[1] - 1, dtype=torch.bool)
        for i, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            tokens[i, : len(row)] = torch.tensor(row)
            asked[i, len(prompt) : len(row) - 1] = True
        inputs = Padded(tokens[:, :-1], torch.tensor([len(row) - 1 for row in rows]))
        logits = self.decoder(inputs, self.adapter(frames.output([e.clip for e in examples])))
        smoothing = self.config.label_smoothing if self.training else 0.0
        losses = nn.functional.cross_entropy(
            logits[asked], tokens[:, 1:][asked], label_smoothing=smoothing, reduction="none"
        )
        return losses, asked.nonzero()[:, 0]

    @torch.no_grad()
    def generate(
        self,
        frames: FrozenFrames,
        clips: Sequence[int],
        prompts: Sequence[str] = (),
        beam: int = 1,
        batch: int = 64,
        nucleus: Nucleus | None = None,
    ) -> list[str]:
        order = sorted(range(len(clips)), key=lambda i: (frames.lengths[clips[i]], i))
        texts = [""] * len(clips)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            memory = self.adapter(frames.output([clips[i] for i in rows]))
            prompt = _padded([self._ids(prompts[i]) for i in rows]) if prompts else None
            bos, eos = self.tokenizer.bos_id, self.tokenizer.eos_id
            ids = self.decoder.generate(memory, bos, eos, self.config.max_tokens, beam, prompt, nucleus, rows)
            for i, text in zip(rows, self.tokenizer.decode(ids), strict=True):
                texts[i] = text
        return texts


def train_decoder(
    config: Any,
    tokenizer: Any,
    frames: FrozenFrames,
    draw: Callable[[int, torch.Generator], Example],
    score: Callable[[LanguageModel], float],
    seed: int,
    label: str,
) -> tuple[LanguageModel, FitReport]:
    """Train what ``config`` builds on ``frames``.

    ``draw`` picks this visit's text of a clip, ``score`` (higher is better) selects. One seed gives one model.
    """
    with seeded(seed):
        decoder = config.build(frames.dim, tokenizer)
    generator = torch.Generator().manual_seed(seed + 1)

    def loss(items: list[int]) -> Tensor:
        return decoder.loss(frames, [draw(i, generator) for i in items])

    lengths = frames.lengths
    report = fit(decoder, lengths, loss, config.fit, seed, score=lambda: score(decoder), label=label)
    return decoder, report


def _padded(rows: Sequence[list[int]]) -> Padded:
    data = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for i, row in enumerate(rows):
        data[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return Padded(data, torch.tensor([len(row) for row in rows]))
