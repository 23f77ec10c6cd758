"""Any module that can be imported, as an encoder; models of Hugging Face stand in huggingface.py."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from audiotext.config import ConfigError
from audiotext.encoder.base import ENCODERS, Encoder
from audiotext.types import EncoderOutput, Padded

_SHORTEST = 10  # frames of samples: models that take samples begin with kernels of 25 ms and more


@ENCODERS.register("foreign")
@dataclass
class ForeignConfig:
    """A module of another package.

    It is called with x of shape (b, T, F), or (b, S) where it takes waveforms, and returns its frames (b, T', D), or
    a tuple of every layer's output, the last one the frames. It never sees padding.
    """

    model: str
    """``package.module:Class``, a torch module; called with ``options``."""
    output_dim: int
    """Width D of its frames."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of the class. What reads as a number, true, false or null is one."""
    subsampling: int = 0
    """Input frames (10 ms) per output frame, what it returns beyond that is cut off; 0: no fixed rate, all is kept."""
    sample_rate: int | None = None
    """Samples per second, where it takes waveforms, from the frontend of that name; null: it takes features."""
    max_frames: int | None = None
    """Longer clips are cut into equal parts of at most so many input frames; null: it takes clips of any length."""
    layers: str | None = None
    """Where its layers stand, for ``optimizer.layer_decay``: the dotted name of a list inside the module, first layer
    first, such as ``model.encoder.layers``."""
    pretrained: bool = False
    """Have the module fill itself, by its method ``load_pretrained()``, when it is made for the first time. Then this
    turns false: a model folder brings the weights, and its shape alone is an untrained model."""

    def __post_init__(self) -> None:
        self.options = _plain(self.options)
        if self.output_dim < 1 or self.subsampling < 0 or (self.max_frames or 1) < 1:
            raise ConfigError("output_dim and max_frames must be at least 1, subsampling at least 0")

    def build(self, feature_dim: int) -> ForeignEncoder:
        """Raises ConfigError where the class cannot be imported or made, or the frontend is not the one it needs."""
        if self.sample_rate is not None and self.sample_rate != 100 * feature_dim:
            raise ConfigError(
                f"encoder: {self.model} takes waveforms; set frontend: {{name: waveform, "
                f"sample_rate: {self.sample_rate}}}"
            )
        encoder = ForeignEncoder(self)
        if self.pretrained:
            if not hasattr(encoder.module, "load_pretrained"):
                raise ConfigError(f"encoder.pretrained: {self.model} has no method load_pretrained()")
            encoder.module.load_pretrained()
            self.pretrained = False
        return encoder


class ForeignEncoder(Encoder):
    """Runs clips of equal length together, so that a clip gives the same frames in every batch."""

    def __init__(self, config: ForeignConfig):
        super().__init__()
        self.config = config
        self.output_dim, self.subsampling = config.output_dim, config.subsampling
        cls = import_class(config.model)
        if not issubclass(cls, nn.Module):
            raise ConfigError(f"encoder: {config.model} is no torch.nn.Module")
        try:
            self.module = cls(**config.options)
        except TypeError as error:
            raise ConfigError(f"encoder: {config.model} cannot be made with its options: {error}") from error
        self.blocks()  # a wrong name is told at once

    def blocks(self) -> list[nn.Module]:
        """Raises ConfigError where the configuration names no list of layers."""
        name = self.config.layers
        if name is None:
            return []
        lists = {n: list(m) for n, m in self.module.named_modules() if isinstance(m, (nn.ModuleList, nn.Sequential))}
        if name not in lists:
            found = ", ".join(f"{n} ({len(m)})" for n, m in lists.items() if n) or "none"
            raise ConfigError(f"encoder.layers: {self.config.model} has no list of layers {name!r}; its lists: {found}")
        return lists[name]

    def forward(self, feats: Padded) -> EncoderOutput:
        clips: list[list[Tensor]] = [[] for _ in feats.lengths]
        for length in feats.lengths.unique().tolist():
            rows = (feats.lengths == length).nonzero()[:, 0]
            for layer in self._equal(feats.data[rows, :length]):
                for row, output in zip(rows.tolist(), layer, strict=True):
                    clips[row].append(output)
        layers = tuple(pad_sequence(list(layer), batch_first=True) for layer in zip(*clips, strict=True))
        lengths = [len(outputs[-1]) for outputs in clips]
        return EncoderOutput(layers[-1], feats.lengths.new_tensor(lengths), layers)

    def _equal(self, x: Tensor) -> list[Tensor]:
        """Clips of one length (b, T, F) -> every layer (b, T', D), the parts of long clips joined."""
        count = -(-x.shape[1] // self.config.max_frames) if self.config.max_frames else 1
        parts = [self._part(part) for part in x.tensor_split(count, dim=1)]
        return [torch.cat(layer, dim=1) for layer in zip(*parts, strict=True)]

    def _part(self, x: Tensor) -> list[Tensor]:
        time = x.shape[1]
        if self.config.sample_rate is not None:
            x = pad(x, (0, 0, 0, max(0, _SHORTEST - time))).flatten(1)
        output = self.module(x)
        layers = list(output) if isinstance(output, (tuple, list)) else [output]
        for layer in layers:
            if not isinstance(layer, Tensor) or layer.dim() != 3 or len(layer) != len(x):
                shape = tuple(layer.shape) if isinstance(layer, Tensor) else type(layer).__name__
                raise ConfigError(f"encoder: {self.config.model} must return ({len(x)}, T', D), not {shape}")
        full, width = layers[-1].shape[1:]
        if width != self.output_dim:
            raise ConfigError(f"encoder: frames of {self.config.model} are {width} wide, output_dim says otherwise")
        # A model that fills every clip up to 30 s, say, returns frames of what it filled up with.
        most = min(full, -(-time // self.subsampling)) if self.subsampling else full
        return [layer[:, :most] if layer.shape[1] == full else layer for layer in layers]


def import_class(path: str) -> type:
    """``package.module:Class`` -> the class. Raises ConfigError saying what is missing."""
    module, colon, name = path.partition(":")
    if not colon or not name:
        raise ConfigError(
            f"encoder: model {path!r} is not of the form package.module:Class; for a model of Hugging Face make a "
            f"model folder first: audiotext import-huggingface --model {path} --out exp/NAME"
        )
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, RuntimeError) as error:  # transformers 4 raises the last
        raise ConfigError(
            f"encoder: cannot import {path} ({error}); install it, or add its folder to PYTHONPATH"
        ) from None
    if not isinstance(cls, type):
        raise ConfigError(f"encoder: {path} is a {type(cls).__name__}, not a class")
    return cls


def _plain(value: Any) -> Any:
    """Texts of a YAML tree, to any depth, as the numbers, truth values and nulls that they spell."""
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if not isinstance(value, str):
        return value
    if value in _WORDS:
        return _WORDS[value]
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            pass
    return value


_WORDS = {"true": True, "false": False, "null": None}
