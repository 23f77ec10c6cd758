"""Augmentation of log-mel filterbanks: SpecAugment (Park et al. 2019) and three cheap changes of level and colour.

All work on whole batches at once, respect each clip's length and draw from an explicit generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from audiotext.config import ConfigError
from audiotext.types import Padded

_DB = math.log(10.0) / 10.0  # log-power per decibel


@dataclass
class AugmentConfig:
    """What is done to each clip's features (B, T, F) in training; a zero turns a part off."""

    probability: float = 0.9
    """Share of clips that are masked and warped; level and colour change for all."""
    num_frequency_masks: int = 2
    """Bands masked in each clip."""
    max_frequency: int = 27
    """Most mel bins in one band."""
    num_time_masks: int = 10
    """Most spans of time masked in each clip; short clips get fewer."""
    max_time: int = 100
    """Most frames in one span."""
    max_time_fraction: float = 0.15
    """Most of a clip that its spans may cover together."""
    time_warp: int = 0
    """Frames by which a point inside the clip may move, the ends staying where they are."""
    fill: Literal["mean", "zero"] = "mean"
    """What masks hold: the clip's mean value, or zero."""
    gain_db: float = 0.0
    """Level changes by up to this many decibels, either way."""
    tilt_db: float = 0.0
    """The top of the spectrum rises against the bottom by up to this many decibels, either way."""
    frequency_shift: float = 0.0
    """The spectrum moves by up to this many mel bins, either way, like a change of pitch; edges are repeated."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str) and value < 0:
                raise ConfigError(f"{name}: must not be below zero, got {value}")
        for name in ("probability", "max_time_fraction"):
            if getattr(self, name) > 1:
                raise ConfigError(f"{name}: must be at most 1, got {getattr(self, name)}")

    def build(self) -> Augment:
        return Augment(self)


class Augment(nn.Module):
    """``(feats, generator) -> feats``: same shapes and lengths, frames past a clip's length untouched."""

    def __init__(self, config: AugmentConfig):
        super().__init__()
        self.config = config

    def forward(self, feats: Padded, generator: torch.Generator) -> Padded:
        config, data, lengths = self.config, feats.data, feats.lengths
        chosen = _uniform((len(data),), generator, data) < config.probability
        if config.frequency_shift:
            data = shift_frequency(data, _signed(len(data), generator, data) * config.frequency_shift)
        if config.gain_db or config.tilt_db:
            data = self._colour(data, generator)
        if config.time_warp:
            data = warp_time(data, lengths, config.time_warp * chosen, generator)
        bands, spans = self._frequency_masks(data, generator), self._time_masks(data, lengths, generator)
        masked = bands[:, None, :] | spans[:, :, None]
        data = torch.where(masked & chosen[:, None, None], self._fill(data, feats), data)
        return Padded(torch.where(feats.mask()[..., None], data, feats.data), lengths)

    def _colour(self, data: Tensor, generator: torch.Generator) -> Tensor:
        """Add a level and a slope over the bins, drawn per clip."""
        slope = torch.linspace(-0.5, 0.5, data.shape[2], device=data.device)
        level = _signed(len(data), generator, data)[:, None] * self.config.gain_db
        tilt = _signed(len(data), generator, data)[:, None] * self.config.tilt_db
        return data + (_DB * (level + tilt * slope))[:, None, :].to(data.dtype)

    def _frequency_masks(self, data: Tensor, generator: torch.Generator) -> Tensor:
        """(B, F) booleans."""
        size, _, bins = data.shape
        most = torch.full((size, 1), min(self.config.max_frequency, bins), device=data.device)
        active = torch.ones(size, self.config.num_frequency_masks, dtype=torch.bool, device=data.device)
        return _spans(torch.full_like(most, bins), most, active, bins, generator)

    def _time_masks(self, data: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """(B, T) booleans; as in lhotse, a clip gets as many masks as its share allows at full width."""
        config = self.config
        allowed = (lengths * config.max_time_fraction).long()[:, None]
        count = torch.clamp(-(-allowed // max(config.max_time, 1)), max=config.num_time_masks)
        most = torch.clamp(allowed // count.clamp(min=1), max=config.max_time)
        active = torch.arange(config.num_time_masks, device=data.device) < count
        return _spans(lengths[:, None], most, active, data.shape[1], generator)

    def _fill(self, data: Tensor, feats: Padded) -> Tensor:
        if self.config.fill == "zero":
            return data.new_zeros(())
        inside = feats.mask()[..., None]
        total = feats.lengths.clamp(min=1) * data.shape[2]
        return ((data * inside).sum(dim=(1, 2)) / total)[:, None, None]


def shift_frequency(data: Tensor, bins: Tensor) -> Tensor:
    """Move each clip's spectrum (B, T, F) up by ``bins`` (B,), fractions interpolated, edges repeated."""
    top = data.shape[2] - 1
    source = (torch.arange(top + 1, device=data.device) - bins[:, None]).clamp(0, top)
    # Weights of interpolation (B, from, to): a product with them is several times faster than gathering.
    distance = (torch.arange(top + 1, device=data.device)[None, :, None] - source[:, None, :]).abs()
    return data @ (1 - distance).clamp(min=0).to(data.dtype)


def warp_time(data: Tensor, lengths: Tensor, most: Tensor, generator: torch.Generator) -> Tensor:
    """Move a random inner point of each clip (B, T, F) by up to ``most`` (B,) frames, stretching both sides to fit."""
    last = (lengths - 1).clamp(min=1).to(data.dtype)[:, None]
    reach = torch.minimum(most.to(data.dtype)[:, None], (last - 2) / 2).clamp(min=0)
    at = 1 + reach + _uniform((len(data), 1), generator, data) * (last - 2 - 2 * reach).clamp(min=0)
    to = at + reach * _signed(len(data), generator, data)[:, None]
    time = torch.arange(data.shape[1], device=data.device, dtype=data.dtype)[None]
    after = at + (time - to) * (last - at) / (last - to).clamp(min=1e-3)
    source = torch.where(time < to, time * at / to, after)
    source = torch.where(reach > 0, source, time).clamp(min=0).minimum(last)
    low = source.floor().long().clamp(max=data.shape[1] - 1)
    index = low[..., None].expand_as(data)
    weight = (source - low).to(data.dtype)[..., None]
    return torch.lerp(data.gather(1, index), data.gather(1, (index + 1).clamp(max=data.shape[1] - 1)), weight)


def _spans(sizes: Tensor, most: Tensor, active: Tensor, total: int, generator: torch.Generator) -> Tensor:
    """The union of random spans: sizes, most (B, 1) and active (B, M) -> (B, total).

    A width is drawn from 0 to ``most``, a start such that the span lies inside ``sizes``.
    """
    draws = _uniform((2, *active.shape), generator, active)
    widths = (draws[0] * (most + 1)).long() * active
    starts = (draws[1] * (sizes - widths + 1)).long()
    place = torch.arange(total, device=active.device)[None, :, None]
    return ((place >= starts[:, None]) & (place < (starts + widths)[:, None])).any(dim=2)


def _uniform(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Draws in [0, 1), made where the generator lives: a CPU generator gives the same masks on every device."""
    return torch.rand(shape, generator=generator, device=generator.device).to(like.device)


def _signed(count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    return 2 * _uniform((count,), generator, like) - 1
