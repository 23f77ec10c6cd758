"""Decode audio: any file soundfile reads, on the disk or in memory -> mono float samples at the wanted rate."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from lhotse.cut import Cut
from torch import Tensor

from audiotext.data.corpus import DataError
from audiotext.data.resample import resample
from audiotext.data.roots import located

AAC = (".m4a", ".aac", ".mp4")  # what libsndfile has no decoder for
_SLACK = 0.1  # seconds by which a file may end before its manifest says, as coded formats do


class AudioError(DataError):
    """A clip cannot be decoded; the message names the file and the reason, ``kind`` what to count it as."""

    def __init__(self, message: str, kind: str = "undecodable"):
        super().__init__(message)
        self.kind = kind


def why_unreadable(path: str | Path, error: Exception) -> str:
    """What a person can do about a file that libsndfile refused with ``error``."""
    if Path(path).suffix.lower() not in AAC:
        return str(error)
    flac = Path(path).with_suffix(".flac").name
    return f"libsndfile has no AAC decoder; convert it: ffmpeg -i {Path(path).name} -ac 1 -ar 16000 {flac}"


def read_audio(
    path: str | Path,
    start: float = 0.0,
    duration: float | None = None,
    sample_rate: int = 16000,
    channels: Sequence[int] | None = None,
    contents: bytes | None = None,
) -> Tensor:
    """Samples (S,) in [-1, 1] at ``sample_rate``: the mean of all channels or of those named; times in seconds.

    With ``contents``, those of a file in memory, ``path`` is only its name in messages.
    Raises AudioError where the file is missing, unreadable, empty, holds values that are not finite, or ends before
    the span asked for.
    """
    try:
        with soundfile.SoundFile(str(path) if contents is None else io.BytesIO(contents)) as file:
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
        missing = contents is None and not Path(path).exists()
        reason = "no such file" if missing else why_unreadable(path, error)
        raise AudioError(f"{path}: cannot be decoded: {reason}", "missing" if missing else "undecodable") from None
    if not len(samples) or len(samples) < count - _SLACK * rate:
        found, wanted = len(samples) / rate, duration or 0
        raise AudioError(f"{path}: only {found:.3f} s of {wanted:.3f} s at {start:g} s are there", "cut short")
    if channels is not None and max(channels) >= samples.shape[1]:
        raise AudioError(f"{path}: no channel {max(channels)}, the file has {samples.shape[1]}")
    chosen = samples if channels is None else samples[:, list(channels)]
    mono = chosen.reshape(-1) if chosen.shape[1] == 1 else chosen.mean(axis=1)
    if not np.isfinite(mono.sum()):  # nothing finite is left of a sum that met a NaN; several times faster than all()
        raise AudioError(f"{path}: holds samples that are not finite numbers", "not finite")
    return resample(torch.from_numpy(np.ascontiguousarray(mono)), rate, sample_rate)


def read_cut(cut: Cut, sample_rate: int = 16000, offset: float = 0.0, duration: float | None = None) -> Tensor:
    """The audio of a lhotse cut, or of ``duration`` seconds of it from ``offset``: (S,) with S = round(seconds * rate).

    Of several channels the cut's own are read, and mixed where it has many, as in lhotse. Raises AudioError, and
    RootError where the corpus of a portable manifest is not to be found.
    """
    cut = located(cut)
    duration = cut.duration - offset if duration is None else duration
    sources = cut.recording.sources if cut.has_recording else []
    if len(sources) == 1 and sources[0].type in ("file", "memory") and not cut.recording.transforms:
        wanted_channels = [cut.channel] if isinstance(cut.channel, int) else cut.channel
        columns = [sources[0].channels.index(c) for c in wanted_channels if c in sources[0].channels] or None
        path, contents = (sources[0].source, None) if sources[0].type == "file" else (cut.id, sources[0].source)
        audio = read_audio(path, cut.start + offset, duration, sample_rate, columns, contents)
    else:
        audio = _through_lhotse(cut, sample_rate, offset, duration)
    wanted = max(1, round(duration * sample_rate))
    if len(audio) < wanted:
        audio = torch.nn.functional.pad(audio, (0, wanted - len(audio)))
    return audio[:wanted]


def _through_lhotse(cut: Cut, sample_rate: int, offset: float, duration: float) -> Tensor:
    """Sources other than one file (archives, pipes, memory) and recordings with transforms."""
    try:
        part = cut.truncate(offset=offset, duration=min(duration, cut.duration - offset), preserve_id=True)
        audio = torch.from_numpy(part.load_audio()).float().mean(dim=0)
    except Exception as error:  # lhotse raises whatever its many backends raise
        raise AudioError(f"{cut.id}: cannot be decoded: {error}") from None
    return resample(audio, cut.sampling_rate, sample_rate)
