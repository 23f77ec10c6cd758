"""What a model makes of any sound files: vectors, captions, the nearest words; no manifest, no captions needed."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import soundfile
import torch
from torch import Tensor

from audiotext.atomic import replacing
from audiotext.config import ConfigError
from audiotext.data.audio import read_audio
from audiotext.data.corpus import DataError
from audiotext.data.locate import AUDIO
from audiotext.data.progress import progress
from audiotext.evaluate.frames import pad
from audiotext.evaluate.lit import ModelSpace, Space
from audiotext.model import AudioTextModel
from audiotext.text.search import Nucleus

LOG = logging.getLogger(__name__)
_SHORTEST = 0.1  # seconds, as in preparation


@dataclass(frozen=True)
class Part:
    """A file, or one of the equal parts of a long one: ``seconds`` of it from ``start``."""

    path: str
    start: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.path} @ {self.start:.1f} s" if self.start else self.path


@dataclass
class Described:
    """N parts of files. means: encoder frames averaged over time (N, D). shared: unit vectors (N, E) of the space that
    the model shares with text; None where it has none. captions: one for each part; none where the model writes none.
    unread: file and reason of those that could not be read.
    """

    parts: list[Part]
    means: Tensor
    shared: Tensor | None
    captions: list[str]
    unread: list[tuple[str, str]]


def find_sound_files(paths: Iterable[Path]) -> list[Path]:
    """Files as they are named, and those with the ending of a sound file below folders, each once. Raises DataError for
    a path that is not there and for a folder without any."""
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        here = [path] if path.is_file() else sorted(p for p in _walk(path) if p.suffix.lower() in AUDIO)
        if not here:
            raise DataError(f"{path}: holds no sound file ({' '.join(AUDIO)})")
        found.update(dict.fromkeys(here))
    return list(found)


def _walk(folder: Path) -> Iterator[Path]:
    return (Path(place, name) for place, _, names in os.walk(folder) for name in names)


def describe_files(
    model: AudioTextModel, files: Sequence[Path], longest: float = 30.0, beam: int = 0, batch: int = 8,
    nucleus: Nucleus | None = None,
) -> Described:  # fmt: skip
    """What ``model`` makes of ``files``; a file over ``longest`` seconds is taken in equal parts that are not.

    beam: candidates of the caption search, 1 for the likeliest word each time, 0 to write none. nucleus: with a beam of
    1, words are drawn, by the number of the part. A file that cannot be read is logged and left out. Raises DataError
    where none can be, ConfigError where a model without a text decoder is asked for captions.
    """
    if beam and model.text_decoder is None:
        raise ConfigError("the model has no text decoder and writes no captions; one pretrained by captioning has")
    described = Described([], torch.empty(0), None, [], [])
    rows: list[tuple[Tensor, Tensor | None]] = []
    waiting: list[tuple[Part, Tensor]] = []
    for file in progress(files, len(files), "listening"):
        try:
            waiting += _features(model, file, longest)
        except DataError as error:
            LOG.warning("left out: %s", error)
            described.unread.append((str(file), str(error)))
        while len(waiting) >= batch:
            rows.append(_batch(model, waiting[:batch], beam, nucleus, described))
            del waiting[:batch]
    if waiting:
        rows.append(_batch(model, waiting, beam, nucleus, described))
    if not rows:
        raise DataError(f"not one of {len(files)} files can be read; the first: {described.unread[0][1]}")
    described.means = torch.cat([means for means, _ in rows])
    described.shared = torch.cat([shared for _, shared in rows]) if model.text_encoder is not None else None
    return described


@torch.inference_mode()
def _features(model: AudioTextModel, file: Path, longest: float) -> list[tuple[Part, Tensor]]:
    """The parts of a file with their filterbanks (T, F). Raises DataError."""
    try:
        total = soundfile.info(str(file)).duration
    except RuntimeError as error:
        raise DataError(f"{file}: cannot be decoded: {error}") from None
    if total < _SHORTEST:
        raise DataError(f"{file}: {total:.3f} s long; at least {_SHORTEST} s are needed")
    count = math.ceil(total / longest)
    found = []
    for i in range(count):
        start = total * i / count
        length = None if i == count - 1 else total / count  # to the end: a header may estimate the length
        audio = read_audio(file, start, length, model.frontend.sample_rate)
        feats = model.frontend(pad([audio]).to(model.device))
        found.append((Part(str(file), start, len(audio) / model.frontend.sample_rate), feats.data[0].cpu()))
    return found


@torch.inference_mode()
def _batch(
    model: AudioTextModel, items: list[tuple[Part, Tensor]], beam: int, nucleus: Nucleus | None, described: Described
) -> tuple[Tensor, Tensor | None]:
    """Mean frames (B, D) and shared vectors (B, E) of some parts; parts and captions are added to ``described``."""
    output = model.encode_audio(pad([feats for _, feats in items]).to(model.device))
    for (part, _), length in zip(items, output.lengths.tolist(), strict=True):
        if not length:
            raise DataError(f"{part}: {part.seconds:.3f} s are too short for the encoder of this model")
        described.parts.append(part)
    if beam:
        numbers = range(len(described.captions), len(described.parts))
        described.captions += model.generate(output, beam, nucleus=nucleus, numbers=numbers)
    mask = output.mask()[..., None]
    means = (output.frames * mask).sum(1) / mask.sum(1)
    shared = ModelSpace(model).embed_output(output) if model.text_encoder is not None else None
    return means.float().cpu(), shared


def own_space(model: AudioTextModel) -> Space:
    """The space the model shares with text. Raises ConfigError where it has none."""
    if model.text_encoder is None:
        raise ConfigError(
            "the model has no text encoder, so no text can be compared with a recording; "
            "one pretrained by contrast has (--objective contrastive of egs/captionstew/run.sh)"
        )
    return ModelSpace(model)


def save_vectors(described: Described, path: Path, model_hash: str) -> None:
    """Write a NumPy archive: path, start, seconds, mean (N, D), shared (N, E) where there is one, model_hash."""
    arrays = {
        "path": np.array([part.path for part in described.parts]),
        "start": np.array([part.start for part in described.parts]),
        "seconds": np.array([part.seconds for part in described.parts]),
        "mean": described.means.numpy(),
        "model_hash": np.array(model_hash),
    }
    if described.shared is not None:
        arrays["shared"] = described.shared.numpy()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_vectors(path: Path, model_hash: str) -> tuple[list[Part], Tensor]:
    """Parts and shared vectors (N, E) of what `save_vectors` wrote. Raises DataError for another model's vectors."""
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        parts = [Part(*row) for row in zip(*(arrays[n].tolist() for n in ("path", "start", "seconds")), strict=True)]
        theirs, shared = str(arrays["model_hash"]), torch.from_numpy(arrays["shared"])
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        hint = "`audiotext describe --vectors` makes such a file with a model that has a text encoder"
        raise DataError(f"{path}: holds no vectors to search: {error}; {hint}") from None
    if theirs != model_hash:
        raise DataError(f"{path}: vectors of another model ({theirs}; this one is {model_hash}); make them again")
    return parts, shared
