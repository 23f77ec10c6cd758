"""Clips as examples: stored features (or the frontend's) of a crop, and the captions, chosen without hidden state.

Every random choice is a function of (seed, epoch, clip id): the same on any process, in any order, after any resume.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from lhotse.cut import Cut
from lhotse.features.io import get_reader
from torch import Tensor
from torch.utils.data import Dataset

from audiotext.data.audio import AudioError, read_cut
from audiotext.data.corpus import DataError
from audiotext.data.index import ManifestIndex
from audiotext.frontend.base import Frontend
from audiotext.types import Batch, Padded

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Texts:
    """What a batch says about a clip besides its sound."""

    id: str
    captions: list[str]
    domain: str
    source: str
    labels: dict


@dataclass(frozen=True)
class Example:
    """One clip, ready to batch: feats (T, F), the caption chosen, seconds of audio."""

    texts: Texts
    feats: Tensor
    caption: str
    duration: float


@dataclass(frozen=True)
class BadClip:
    """A clip that could not be loaded, and why."""

    id: str
    reason: str
    kind: str = "error"
    """The reason in a word or two, to count by."""

    @classmethod
    def of(cls, id: str, error: Exception) -> BadClip:
        kind = error.kind if isinstance(error, AudioError) else type(error).__name__
        return cls(id, str(error) or type(error).__name__, kind)


@dataclass
class _Cache:
    """Every clip's frames end to end as float16 (sum of T, F), where each begins, and the texts."""

    frames: Tensor
    starts: list[int]
    texts: list[Texts | BadClip]
    shift: float = 0.01


class AudioTextDataset(Dataset):
    """Examples by position, or by (epoch, position) for another draw of crops and captions.

    frontend: computes features from audio for clips that have none attached.
    max_clip_seconds: longer clips are cropped, at a random place or at the centre.
    caption_choice: one caption at random, the first, or "all": then every caption is an example of its own.
    cache: load all features into memory once (float16, 58 MB an hour), shared with worker processes.

    ``durations`` (N,) are seconds after cropping, for the sampler. A clip that cannot be loaded gives a BadClip.
    """

    def __init__(
        self,
        index: ManifestIndex,
        frontend: Frontend | None = None,
        max_clip_seconds: float | None = None,
        crop: Literal["random", "center"] = "random",
        caption_choice: Literal["random", "first", "all"] = "random",
        seed: int = 0,
        cache: bool = False,
    ):
        if max_clip_seconds is not None and max_clip_seconds <= 0:
            raise DataError(f"max_clip_seconds must be above zero, got {max_clip_seconds}")
        if crop not in ("random", "center") or caption_choice not in ("random", "first", "all"):
            raise DataError(f"crop {crop!r} or caption_choice {caption_choice!r} is not one of the allowed words")
        if index.feature_dim is None and frontend is None:
            raise DataError(f"{index.path}: has no features; run `audiotext features`, or give a frontend")
        self.index, self.seed = index, seed
        self.frontend = None if frontend is None else copy.deepcopy(frontend).cpu()  # the model's may move to a GPU
        self.max_clip_seconds, self.crop, self.caption_choice = max_clip_seconds, crop, caption_choice
        self._clips, self._captions = self._items()
        limit = np.inf if max_clip_seconds is None else max_clip_seconds
        self.durations: np.ndarray = np.minimum(index.durations, limit)[self._clips]
        self._cache = self._fill_cache() if cache else None

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, key: int | tuple[int, int]) -> Example | BadClip:
        epoch, item = key if isinstance(key, tuple) else (0, key)
        clip = int(self._clips[item])
        chance = _chances(self.seed, epoch, self.index.ids[clip])
        try:
            if self._cache is not None:
                feats, texts, duration = self._from_cache(clip, chance[0])
            else:
                feats, texts, duration = self._from_disk(clip, chance[0])
        except _Bad as bad:
            return bad.args[0]
        except Exception as error:  # decoders and storages raise anything; one bad clip must not end a run
            return BadClip.of(self.index.ids[clip], error)
        captions = texts.captions or [""]
        if self.caption_choice == "random":
            caption = captions[int(chance[1] * len(captions))]
        else:
            caption = captions[int(self._captions[item])]
        return Example(texts, feats, caption, duration)

    def _items(self) -> tuple[np.ndarray, np.ndarray]:
        """The clip and the caption of every example."""
        every = np.arange(len(self.index))
        if self.caption_choice != "all":
            return every, np.zeros_like(every)
        counts = np.maximum(self.index.caption_counts, 1)
        firsts = np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(every, counts), np.arange(counts.sum()) - firsts

    def _span(self, seconds: float, chance: float) -> tuple[float, float]:
        """(offset, seconds) of the crop of a clip that long."""
        if self.max_clip_seconds is None or seconds <= self.max_clip_seconds:
            return 0.0, seconds
        spare = seconds - self.max_clip_seconds
        return spare * (chance if self.crop == "random" else 0.5), self.max_clip_seconds

    def _from_disk(self, clip: int, chance: float) -> tuple[Tensor, Texts, float]:
        cut = self.index.cut(clip)
        offset, seconds = self._span(cut.duration, chance)
        return load_features(cut, self.frontend, offset, seconds)[0], texts_of(cut), seconds

    def _from_cache(self, clip: int, chance: float) -> tuple[Tensor, Texts, float]:
        cache = self._cache
        texts = cache.texts[clip]
        if isinstance(texts, BadClip):
            raise _Bad(texts)
        offset, seconds = self._span(float(self.index.durations[clip]), chance)
        first, end = cache.starts[clip], cache.starts[clip + 1]
        left, count = _frame_span(offset, seconds, cache.shift, end - first)
        return cache.frames[first + left : first + left + count], texts, seconds

    def _fill_cache(self) -> _Cache:
        parts, starts, texts, shift = [], [0], [], 0.01
        for clip in range(len(self.index)):
            try:
                cut = self.index.cut(clip)
                feats, shift = load_features(cut, self.frontend)
                parts.append(feats.half())
                texts.append(texts_of(cut))
            except Exception as error:
                texts.append(BadClip.of(self.index.ids[clip], error))
            starts.append(starts[-1] + (len(parts[-1]) if isinstance(texts[-1], Texts) else 0))
        if not parts:
            raise DataError(f"{self.index.path}: not one clip can be loaded; the first fails with: {texts[0].reason}")
        return _Cache(torch.cat(parts).share_memory_(), starts, texts, shift)


class _Bad(Exception):
    """Carries a BadClip out of the cache."""


def load_features(
    cut: Cut, frontend: Frontend | None = None, offset: float = 0.0, seconds: float | None = None
) -> tuple[Tensor, float]:
    """Features (T, F) of a cut (or of a span of it) and their frame shift: stored ones, else the frontend's.

    Raises DataError where the cut has no features and there is no frontend, AudioError where audio cannot be decoded.
    """
    seconds = cut.duration - offset if seconds is None else seconds
    if cut.has_features:
        stored = cut.features
        reader = get_reader(stored.storage_type)
        if reader is None:
            raise DataError(f"{cut.id}: features are stored as {stored.storage_type!r}, which lhotse cannot read here")
        left, count = _frame_span(cut.start - stored.start + offset, seconds, stored.frame_shift, stored.num_frames)
        try:
            values = reader(stored.storage_path).read(stored.storage_key, left, left + count)
        except (OSError, ValueError) as error:
            raise AudioError(f"{cut.id}: its stored features cannot be read: {error}", "features unreadable") from None
        if not len(values):
            raise DataError(f"{cut.id}: the stored features are empty")
        return torch.from_numpy(np.asarray(values, dtype=np.float32)), stored.frame_shift
    if frontend is None:
        raise DataError(f"{cut.id}: has no stored features; run `audiotext features`, or give a frontend")
    wave = read_cut(cut, frontend.sample_rate, offset, seconds)[None]
    with torch.no_grad():
        feats = frontend(Padded(wave, torch.tensor([wave.shape[1]])))
    if not feats.data.shape[1]:
        raise AudioError(f"{cut.id}: {seconds:g} s are too short for one frame", "too short")
    return feats.data[0], frontend.frame_shift


def texts_of(cut: Cut) -> Texts:
    """Captions and what stands beside them in a cut's first supervision."""
    custom = (cut.supervisions[0].custom or {}) if cut.supervisions else {}
    domain, source = str(custom.get("domain") or "unknown"), str(custom.get("source") or "unknown")
    return Texts(cut.id, list(custom.get("caption") or []), domain, source, dict(custom.get("labels") or {}))


def collate(examples: Sequence[Example]) -> Batch:
    """Examples -> a Batch, float32, zeros up to its longest clip. Raises DataError for unlike feature widths."""
    lengths = [len(e.feats) for e in examples]
    widths = {e.feats.shape[1] for e in examples}
    if len(widths) > 1:
        raise DataError(f"clips of {sorted(widths)} mel bins in one batch, first {examples[0].texts.id}: extract again")
    data = torch.zeros(len(examples), max(lengths), widths.pop())
    for row, example in zip(data, examples, strict=True):
        row[: len(example.feats)] = example.feats
    return Batch(
        ids=[e.texts.id for e in examples],
        feats=Padded(data, torch.tensor(lengths)),
        captions=[e.texts.captions for e in examples],
        caption=[e.caption for e in examples],
        domains=[e.texts.domain for e in examples],
        sources=[e.texts.source for e in examples],
        durations=torch.tensor([e.duration for e in examples], dtype=torch.float32),
        labels=[e.texts.labels for e in examples],
    )


def _frame_span(offset: float, seconds: float, shift: float, frames: int) -> tuple[int, int]:
    """(first frame, number of frames) of a span in seconds, at least one frame and inside ``frames``."""
    first = min(max(0, round(offset / shift)), max(frames - 1, 0))
    count = max(1, int(seconds / shift + 0.5))
    return first, min(count, frames - first)


def _chances(seed: int, epoch: int, id_: str) -> tuple[float, float]:
    """Two numbers in [0, 1) that (seed, epoch, id) determine."""
    digest = hashlib.blake2b(f"{seed}:{epoch}:{id_}".encode(), digest_size=16).digest()
    return tuple(int.from_bytes(part, "little") / 2**64 for part in (digest[:8], digest[8:]))
