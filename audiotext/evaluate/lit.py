"""The text side for an encoder that has none: locked-image tuning (Zhai et al., CVPR 2022) with audio for image.

The encoder stays frozen; a pooling, a projection and a small text encoder are trained on its frames by InfoNCE.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from audiotext.atomic import replacing
from audiotext.config import ConfigError, part, to_tree
from audiotext.evaluate.context import Context
from audiotext.evaluate.fit import FitConfig, fit, seeded
from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.head.pooling import POOLINGS
from audiotext.head.projection import Projection
from audiotext.metric.ranking import Ranks
from audiotext.metric.retrieval import ranks_of_vectors, scores_of
from audiotext.model import AudioTextModel
from audiotext.objective.contrastive import info_nce
from audiotext.objective.pairs import Pairs
from audiotext.text.base import TEXT_ENCODERS
from audiotext.text.clean import normalise
from audiotext.text.tokenizer import Tokenizer
from audiotext.types import EncoderOutput

LOG = logging.getLogger(__name__)


@dataclass
class LitConfig:
    """How the text side is trained: on ``train``, the epoch chosen on ``select`` by mAP@10 of both directions."""

    train: str = "pretrain"
    select: str = "valid"
    pooling: Any = part(POOLINGS, "statistics")
    text_encoder: Any = part(TEXT_ENCODERS)
    """Null for the one of the model configuration that the command names."""
    embed_dim: int = 192
    temperature: float = 0.07
    seed: int = 0
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(epochs=16, batch_size=128, lr=2e-3, weight_decay=0.05, validate_every=2)
    )


class Space:
    """A space that audio and text share."""

    def embed_output(self, output: EncoderOutput) -> Tensor:
        """Encoder frames (B, T', D) -> unit vectors (B, E)."""
        raise NotImplementedError

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Texts -> unit vectors (B, E)."""
        raise NotImplementedError

    @torch.no_grad()
    def audio(self, frames: FrozenFrames, size: int = 128) -> Tensor:
        """Unit vectors of frozen clips, in their order: (N, E)."""
        order = sorted(range(len(frames)), key=frames.lengths.__getitem__)
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        vectors = torch.cat([self.embed_output(frames.output(batch)) for batch in batches])
        return vectors[torch.tensor(order).argsort()]

    @torch.no_grad()
    def text(self, texts: list[str], size: int = 256) -> Tensor:
        """Unit vectors of any number of texts: (M, E)."""
        return torch.cat([self.embed_texts(texts[i : i + size]) for i in range(0, len(texts), size)])

    def prompts(self, classes: Sequence[Sequence[str]], templates: Sequence[str]) -> Tensor:
        """One unit vector per class, the mean of those of its names in every template: (C, E)."""
        texts = [[template.replace("{}", name) for template in templates for name in names] for names in classes]
        return nn.functional.normalize(torch.stack([self.text(group).mean(0) for group in texts]), dim=-1)


class ModelSpace(Space):
    """The model's own space."""

    def __init__(self, model: AudioTextModel):
        self.model = model

    def embed_output(self, output: EncoderOutput) -> Tensor:
        device = self.model.device
        output = EncoderOutput(output.frames.to(device), output.lengths.to(device))
        return nn.functional.normalize(self.model.project_audio(output).float(), dim=-1).cpu()

    def embed_texts(self, texts: list[str]) -> Tensor:
        return self.model.embed_text(texts).cpu()


class LitSpace(nn.Module, Space):
    """Frozen frames, standardised -> pooling -> projection; tokens -> text encoder -> projection."""

    def __init__(self, config: LitConfig, text_encoder: Any, tokenizer: Tokenizer, dim: int):
        super().__init__()
        self.tokenizer = tokenizer
        self.pooling = config.pooling.build(dim)
        self.audio_projection = Projection(self.pooling.output_dim, config.embed_dim, config.embed_dim)
        self.text_encoder = text_encoder.build(tokenizer.vocab_size)
        self.text_projection = Projection(self.text_encoder.output_dim, config.embed_dim, config.embed_dim)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def embed_output(self, output: EncoderOutput) -> Tensor:
        pooled = self.pooling((output.frames - self.mean) / self.std, output.mask())
        return nn.functional.normalize(self.audio_projection(pooled), dim=-1)

    def embed_texts(self, texts: list[str]) -> Tensor:
        return nn.functional.normalize(self.text_projection(self.text_encoder(self.tokenizer.encode(texts))), dim=-1)


@dataclass(frozen=True)
class Texts:
    """The distinct texts (M) of N clips, and which clip each is true of: ``pairs`` (P, 2) of clip and text number."""

    texts: list[str]
    pairs: Tensor
    clips: int

    @property
    def relevance(self) -> Tensor:
        """The pairs as booleans (N, M); for sets of usual size."""
        table = torch.zeros(self.clips, len(self.texts), dtype=torch.bool)
        table[self.pairs[:, 0], self.pairs[:, 1]] = True
        return table

    @classmethod
    def rows(cls, clips: list[EvalClip]) -> Texts:
        """Every caption as a text of its own clip alone, equal ones apart."""
        own = [(i, text) for i, clip in enumerate(clips) for text in map(normalise, clip.captions) if text]
        pairs = torch.tensor([(i, n) for n, (i, _) in enumerate(own)]).view(-1, 2)
        return cls([text for _, text in own], pairs, len(clips))

    @classmethod
    def of(cls, clips: list[EvalClip], max_clips: int | None = None) -> Texts:
        """Captions that are equal after normalisation are one text, relevant to every clip that carries it.

        Texts that more than ``max_clips`` clips carry are left out; a clip left without a text is still an item.
        """
        columns: dict[str, int] = {}
        pairs = dict.fromkeys(
            (i, columns.setdefault(text, len(columns)))
            for i, clip in enumerate(clips)
            for text in map(normalise, clip.captions)
            if text
        )
        carried = Counter(column for _, column in pairs)
        kept = [c for c in range(len(columns)) if carried[c] <= (max_clips or len(clips))]
        number, names = {column: n for n, column in enumerate(kept)}, list(columns)
        left = [(i, number[column]) for i, column in pairs if column in number]
        return cls([names[c] for c in kept], torch.tensor(left, dtype=torch.long).view(-1, 2), len(clips))


def lit_settings(config: LitConfig, context: Context) -> dict:
    """The whole configuration of a LiT text side, as it enters a result's identity."""
    return to_tree(config) | {
        "text_encoder": to_tree(_text_encoder(config, context)),
        "tokenizer": hashlib.sha256(context.tokenizer.__getstate__()).hexdigest()[:16],
    }


def lit_space(config: LitConfig, context: Context) -> LitSpace:
    """The trained text side of a model: read from the model's results folder, or trained and kept there."""
    hashes = [context.manifest_hash(config.train), context.manifest_hash(config.select)]
    key = json.dumps([context.model_hash, lit_settings(config, context), hashes], sort_keys=True)
    path = context.folder / "lit" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    train = context.frames(config.train)
    with seeded(config.seed):
        space = LitSpace(config, _text_encoder(config, context), context.tokenizer, train.dim)
    if path.is_file():
        space.load_state_dict(load_file(path))
    else:
        _train(space, config, train, context.frames(config.select), context.name)
        _keep(space, path)
    return space.eval()


def space_ranks(space: Space, frames: FrozenFrames, texts: Texts) -> dict[str, Ranks]:
    """Ranks of frozen clips against their texts, both directions."""
    return ranks_of_vectors(space.audio(frames), space.text(texts.texts), texts.pairs)


def _text_encoder(config: LitConfig, context: Context) -> Any:
    text_encoder = config.text_encoder or context.text_model_config.text_encoder
    if text_encoder is None:
        raise ConfigError("no text encoder to train: give --text-config, a model's YAML that has a text_encoder")
    return text_encoder


def _train(space: LitSpace, config: LitConfig, train: FrozenFrames, select: FrozenFrames, name: str) -> None:
    mean, std = train.scale()
    space.mean.copy_(mean)
    space.std.copy_(std)
    captions = [list(filter(None, map(normalise, clip.captions))) for clip in train.clips]
    captioned = [i for i, own in enumerate(captions) if own]
    texts, temperature = Texts.of(select.clips), torch.tensor(config.temperature)

    def loss(batch: list[int]) -> Tensor:
        rows = [captioned[i] for i in batch]
        own = [captions[i] for i in rows]
        drawn = [o[int(u * len(o))] for o, u in zip(own, torch.rand(len(rows)).tolist(), strict=True)]
        audio, text = space.embed_output(train.output(rows)), space.embed_texts(drawn)
        return info_nce(Pairs.of(audio, own, text, drawn, torch.arange(len(rows))), temperature)[0].mean()

    def score() -> float:
        return sum(scores_of(ranks)["mAP@10"] for ranks in space_ranks(space, select, texts).values()) / 2

    lengths = [train.lengths[i] for i in captioned]
    report = fit(space, lengths, loss, config.fit, config.seed, score, label=f"{name}: text side")
    LOG.info("%s: text side trained, mAP@10 %.3f on %s", name, report.best_score, config.select)


def _keep(space: LitSpace, path: Path) -> None:
    # clone: tied weights share memory, which safetensors refuses
    state = {k: v.detach().clone().contiguous() for k, v in space.state_dict().items()}
    with replacing(path) as temporary:
        save_file(state, temporary)
    for old in path.parent.glob("*.safetensors"):
        if old != path:
            old.unlink()
