"""Waveforms of the toy corpus: voices, notes, drums and noises, all from numpy. 16 kHz, float32 in [-1, 1]."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

RATE = 16000
# First three formants of five vowels in Hz, rounded from the usual textbook tables.
FORMANTS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}


def _time(seconds: float) -> np.ndarray:
    return np.arange(int(seconds * RATE)) / RATE


def _fade(wave: np.ndarray, seconds: float = 0.01) -> np.ndarray:
    n = min(int(seconds * RATE), len(wave) // 2)
    wave[:n] *= np.linspace(0, 1, n)
    wave[len(wave) - n :] *= np.linspace(1, 0, n)
    return wave


def _resonate(wave: np.ndarray, frequency: float, width: float = 90.0) -> np.ndarray:
    """A two-pole resonator."""
    radius = np.exp(-np.pi * width / RATE)
    return lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * frequency / RATE), radius**2], wave)


def finish(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normalise the peak and add a faint noise floor, different in every clip."""
    wave = wave / (np.abs(wave).max() + 1e-9) * rng.uniform(0.4, 0.8)
    return (wave + rng.normal(0, 1e-3, len(wave))).astype(np.float32)


def voice(text: str, pitch: float, tract: float, rng: np.random.Generator) -> np.ndarray:
    """Speak the vowels of ``text``: a buzz at ``pitch`` Hz through formants scaled by ``tract``."""
    pieces = []
    for letter in text.lower():
        if letter not in FORMANTS:
            pieces.append(rng.normal(0, 0.02, int(RATE * 0.03)) if letter.isalpha() else np.zeros(int(RATE * 0.04)))
            continue
        t = _time(rng.uniform(0.08, 0.13))
        glide = pitch * (1 + 0.06 * np.sin(2 * np.pi * 3 * t + rng.uniform(0, 6)))
        buzz = (np.cumsum(glide) / RATE) % 1.0 - 0.5
        pieces.append(_fade(sum(_resonate(buzz, f * tract) / (i + 1) for i, f in enumerate(FORMANTS[letter]))))
    return np.concatenate(pieces)


def telephone(wave: np.ndarray) -> np.ndarray:
    """Cut below 300 Hz and above about 3 kHz, as a telephone line does."""
    high = lfilter([1, -1], [1, -0.89], wave)
    return lfilter([0.4], [1, -0.6], high)


def note(instrument: str, frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """One note of a guitar (plucked), an organ (sines), a trumpet (sawtooth) or a flute (breath)."""
    t = _time(seconds)
    if instrument == "guitar":
        period = int(RATE / frequency)
        burst = np.concatenate([rng.uniform(-1, 1, period), np.zeros(max(0, len(t) - period))])[: len(t)]
        return lfilter([1.0], np.concatenate([[1.0], np.zeros(period - 1), [-0.497, -0.497]]), burst)
    if instrument == "organ":
        return _fade(sum(np.sin(2 * np.pi * frequency * k * t) / k for k in (1, 2, 4, 8)))
    if instrument == "trumpet":
        saw = (t * frequency) % 1.0 - 0.5
        return _fade(lfilter([0.2], [1, -0.8], saw) * np.minimum(1, t / 0.06))
    breath = rng.normal(0, 0.05, len(t))
    return _fade(np.sin(2 * np.pi * frequency * t + 0.2 * np.sin(2 * np.pi * 5 * t)) + breath, 0.05)


def drum(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One hit of a kick, snare or hi hat."""
    t = _time(rng.uniform(0.5, 0.8))
    noise = rng.normal(0, 1, len(t))
    if kind == "kick":
        return np.sin(2 * np.pi * (rng.uniform(45, 60) * t + 4 * (1 - np.exp(-t * 30)))) * np.exp(-t * 12)
    if kind == "snare":
        return noise * np.exp(-t * 18) + np.sin(2 * np.pi * rng.uniform(170, 220) * t) * np.exp(-t * 25)
    return lfilter([1, -2, 1], [1], noise) * np.exp(-t * rng.uniform(30, 50))


def noise(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Rain, a siren, footsteps, clicks, wind or a beep."""
    t = _time(rng.uniform(0.8, 1.6))
    hiss = rng.normal(0, 1, len(t))
    if kind == "rain":
        drops = (rng.uniform(0, 1, len(t)) < 0.004) * rng.uniform(2, 8, len(t))
        return 0.4 * np.diff(hiss, prepend=0.0) + lfilter([1], [1, -0.6], drops)
    if kind == "siren":
        sweep = rng.uniform(500, 700) + 250 * np.sin(2 * np.pi * rng.uniform(0.8, 1.6) * t)
        return _fade(np.sin(2 * np.pi * np.cumsum(sweep) / RATE))
    if kind == "footsteps":
        phase = (t * rng.uniform(2.0, 3.0)) % 1.0
        return lfilter([1], [1, -0.9], hiss) * np.exp(-phase * 25)
    if kind == "clicks":
        return (((t * rng.uniform(6, 12)) % 1.0) < 0.01) * hiss
    if kind == "wind":
        return lfilter([0.02], [1, -0.98], hiss) * (1 + 0.8 * np.sin(2 * np.pi * rng.uniform(0.5, 1) * t))
    return _fade(np.sign(np.sin(2 * np.pi * rng.uniform(600, 1200) * t)) * (((t * 4) % 1.0) < 0.5))
