"""Decode audio: any file soundfile reads -> mono float samples at the wanted rate."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch
from lhotse.cut import Cut
from scipy.signal import firwin, resample_poly
from torch import Tensor

from audiotext.data.corpus import DataError

_SLACK = 0.1  # seconds by which a file may end before its manifest says, as coded formats do
_ZERO_CROSSINGS = 16  # of the resampling kernel, on either side
_MAX_RATIO = 640  # a finer ratio of rates would need a resampling kernel of hundreds of megabytes


class AudioError(DataError):
    """A clip cannot be decoded; the message names the file and the reason, ``kind`` what to count it as."""

    def __init__(self, message: str, kind: str = "undecodable"):
        super().__init__(message)
        self.kind = kind


def read_audio(
    path: str | Path,
    start: float = 0.0,
    duration: float | None = None,
    sample_rate: int = 16000,
    channels: Sequence[int] | None = None,
) -> Tensor:
    """Samples (S,) in [-1, 1] at ``sample_rate``: the mean of all channels or of those named; times in seconds.

    Raises AudioError where the file is missing, unreadable, empty, holds values that are not finite, or ends before
    the span asked for.
    """
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate, first = file.samplerate, round(start * file.samplerate)
            count = -1 if duration is None else max(1, round(duration * rate))
            if first >= file.frames:
                reason = "the file holds no audio" if not file.frames else f"starts at {start:g} s"
                raise AudioError(f"{path}: {reason}, {file.frames / rate:.3f} s long", "cut short")
            file.seek(first)
            samples = file.read(count, dtype="float32", always_2d=True)
    except AudioError:
        raise
    except (RuntimeError, OSError, TypeError, ValueError) as error:
        missing = not Path(path).exists()
        reason = "no such file" if missing else str(error)
        raise AudioError(f"{path}: cannot be decoded: {reason}", "missing" if missing else "undecodable") from None
    if not len(samples) or len(samples) < count - _SLACK * rate:
        found, wanted = len(samples) / rate, duration or 0
        raise AudioError(f"{path}: only {found:.3f} s of {wanted:.3f} s at {start:g} s are there", "cut short")
    if channels is not None and max(channels) >= samples.shape[1]:
        raise AudioError(f"{path}: no channel {max(channels)}, the file has {samples.shape[1]}")
    mono = (samples if channels is None else samples[:, list(channels)]).mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers", "not finite")
    return resample(torch.from_numpy(np.ascontiguousarray(mono)), rate, sample_rate)


def read_cut(cut: Cut, sample_rate: int = 16000, offset: float = 0.0, duration: float | None = None) -> Tensor:
    """The audio of a lhotse cut, or of ``duration`` seconds of it from ``offset``: (S,) with S = round(seconds * rate).

    Of several channels the cut's own are read, and mixed where it has many, as in lhotse. Raises AudioError.
    """
    duration = cut.duration - offset if duration is None else duration
    sources = cut.recording.sources if cut.has_recording else []
    if len(sources) == 1 and sources[0].type == "file" and not cut.recording.transforms:
        wanted_channels = [cut.channel] if isinstance(cut.channel, int) else cut.channel
        columns = [sources[0].channels.index(c) for c in wanted_channels if c in sources[0].channels] or None
        audio = read_audio(sources[0].source, cut.start + offset, duration, sample_rate, columns)
    else:
        audio = _through_lhotse(cut, sample_rate, offset, duration)
    wanted = max(1, round(duration * sample_rate))
    if len(audio) < wanted:
        audio = torch.nn.functional.pad(audio, (0, wanted - len(audio)))
    return audio[:wanted]


def resample(audio: Tensor, rate: int, wanted: int) -> Tensor:
    """Samples (..., S) from one rate to another; odd rates are met to one part in a million."""
    ratio = Fraction(rate, wanted).limit_denominator(_MAX_RATIO)
    up, down = ratio.denominator, ratio.numerator
    if up == down:
        return audio
    resampled = resample_poly(audio.numpy(), up, down, axis=-1, window=_lowpass(max(up, down)))
    return torch.from_numpy(np.ascontiguousarray(resampled, dtype=np.float32))


@functools.lru_cache(maxsize=32)
def _lowpass(ratio: int) -> np.ndarray:
    """A windowed sinc that cuts at 1 / ``ratio`` of half the rate; costs more than its use on a short clip, so kept."""
    return firwin(2 * _ZERO_CROSSINGS * ratio + 1, 1 / ratio, window=("kaiser", 8.0)).astype(np.float32)


def _through_lhotse(cut: Cut, sample_rate: int, offset: float, duration: float) -> Tensor:
    """Sources other than one file (archives, pipes, memory) and recordings with transforms."""
    try:
        part = cut.truncate(offset=offset, duration=min(duration, cut.duration - offset), preserve_id=True)
        audio = torch.from_numpy(part.load_audio()).float().mean(dim=0)
    except Exception as error:  # lhotse raises whatever its many backends raise
        raise AudioError(f"{cut.id}: cannot be decoded: {error}") from None
    return resample(audio, cut.sampling_rate, sample_rate)
