"""Changes of the waveform in training: another speed (Ko et al. 2015), and noise mixed in at a chosen SNR.

What happens to a clip follows from numbers that the dataset derives from (seed, epoch, clip id): nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import torch
from lhotse.cut import Cut
from torch import Tensor

from audiotext.config import ConfigError
from audiotext.data.audio import read_cut
from audiotext.data.index import ManifestIndex
from audiotext.data.resample import resample

DRAWS = 5
"""Numbers in [0, 1) that one perturbation takes: speed, whether noise, which noise, where in it, SNR."""


@dataclass
class PerturbConfig:
    """How the sound itself is changed, clip by clip and epoch by epoch; left empty, nothing is."""

    speeds: list[float] = field(default_factory=list)
    """Factors of which each clip draws one, such as [0.9, 1.0, 1.1]: tempo and pitch rise, the duration falls."""
    noise: Path | None = None
    """Manifest of noises, such as MUSAN's; no captions needed."""
    noise_probability: float = 0.5
    """Share of clips that get noise, one recording each, from a random place in it, repeated where it is shorter."""
    snr_db: tuple[float, float] = (10.0, 20.0)
    """Least and most decibels by which the clip's mean power lies above the noise's."""

    def __post_init__(self) -> None:
        for speed in self.speeds:
            if not 0.5 <= speed <= 2:
                raise ConfigError(f"speeds: factors lie between 0.5 and 2, got {speed}")
        if not 0 <= self.noise_probability <= 1:
            raise ConfigError(f"noise_probability: must lie between 0 and 1, got {self.noise_probability}")
        if len(self.snr_db) != 2 or self.snr_db[0] > self.snr_db[1]:
            raise ConfigError(f"snr_db: give the least and the most decibels, such as [10, 20], got {self.snr_db}")

    def build(self) -> Perturb | None:
        """None where nothing is to be changed. Raises DataError for a noise manifest that cannot be used."""
        noises = ManifestIndex(self.noise, captions=False) if self.noise and self.noise_probability else None
        return Perturb(self, noises) if self.speeds or noises is not None else None


class Perturb:
    """``perturb(draws)`` is what happens to one clip; ``slowest`` is the least of the speeds."""

    def __init__(self, config: PerturbConfig, noises: ManifestIndex | None):
        self.config, self.noises = config, noises
        self.speeds = list(config.speeds) or [1.0]
        self.slowest = min(self.speeds)

    def __call__(self, draws: Sequence[float]) -> Perturbation:
        """draws: DRAWS numbers in [0, 1)."""
        which_speed, whether, which_noise, place, level = draws
        speed, noise = self.speeds[int(which_speed * len(self.speeds))], None
        if self.noises is not None and whether < self.config.noise_probability:
            noise = self.noises.cut(int(which_noise * len(self.noises)))
        low, high = self.config.snr_db
        return Perturbation(speed, noise, place, low + (high - low) * level)


@dataclass(frozen=True)
class Perturbation:
    """One clip's: its speed, the noise added (None for none), where in the noise to begin in [0, 1), the SNR in dB."""

    speed: float
    noise: Cut | None
    place: float
    snr_db: float

    def read(self, cut: Cut, sample_rate: int, offset: float, duration: float) -> Tensor:
        """As ``read_cut``, with the times those of the perturbed clip. Raises AudioError, for the noise as well."""
        wave = read_cut(cut, sample_rate, offset * self.speed, duration * self.speed)
        wave = _fitted(change_speed(wave, self.speed), max(1, round(duration * sample_rate)))
        if self.noise is None:
            return wave
        return mix(wave, read_noise(self.noise, sample_rate, len(wave), self.place), self.snr_db)


def change_speed(wave: Tensor, speed: float) -> Tensor:
    """Samples (S,) -> about S / ``speed`` samples, as if the clip were played that much faster."""
    ratio = Fraction(speed).limit_denominator(200)
    return resample(wave, ratio.numerator, ratio.denominator)


def read_noise(cut: Cut, sample_rate: int, samples: int, place: float) -> Tensor:
    """(samples,) of a noise from ``place`` in [0, 1) of what can be begun with, repeated where it is too short."""
    seconds = samples / sample_rate
    if cut.duration > seconds:
        return _fitted(read_cut(cut, sample_rate, (cut.duration - seconds) * place, seconds), samples)
    whole = read_cut(cut, sample_rate)
    return whole[(torch.arange(samples) + int(place * len(whole))) % len(whole)]


def mix(wave: Tensor, noise: Tensor, snr_db: float) -> Tensor:
    """The wave (S,) plus noise (S,) scaled to lie ``snr_db`` below it in mean power; silence on either side stays."""
    power, noise_power = wave.square().mean(), noise.square().mean()
    if noise_power == 0:
        return wave
    return wave + noise * (power / noise_power * 10 ** (-snr_db / 10)).sqrt()


def _fitted(wave: Tensor, samples: int) -> Tensor:
    """Cut, or filled with zeros, to that length: rounding of times leaves a sample or two over."""
    return torch.nn.functional.pad(wave, (0, max(0, samples - len(wave))))[:samples]
