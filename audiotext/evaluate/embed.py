"""The embedding pass: frozen encoder frames of whole clips, computed once per model, layer and manifest, then kept."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from audiotext.data.dataset import load_features
from audiotext.data.index import ManifestIndex
from audiotext.data.manifest import read_manifest
from audiotext.data.processes import in_processes
from audiotext.data.progress import progress
from audiotext.data.roots import RootError
from audiotext.evaluate.frames import EvalClip, FrozenFrames, pad
from audiotext.evaluate.guard import check_padding, usable
from audiotext.evaluate.layers import LAST, Layer, take_layer
from audiotext.evaluate.shard import Shard, packed, stored_frames, write_shard
from audiotext.frontend.base import Frontend
from audiotext.model import AudioTextModel

LOG = logging.getLogger(__name__)
SHARD_SECONDS = 300.0  # few enough for several processes to share a corpus of an hour
Batches = list[list[int]]


def embed_frames(
    model: AudioTextModel,
    manifest: Path,
    cache: Path | None = None,
    batch_seconds: float = 120.0,
    layer: Layer = LAST,
    shard_seconds: float = SHARD_SECONDS,
    nj: int = 1,
) -> FrozenFrames:
    """Frames of every clip of a manifest, in the manifest's order.

    Features are those that the manifest has stored, where they are as wide as those of the model's frontend, else they
    come from audio through that frontend. Whole clips, batched by length, no crop and no dropout. ``cache`` names the
    folder that holds the frames from then on, in shards of about ``shard_seconds`` of audio, from which they are read
    as they are needed (the caller puts model, layer and manifest hash in its name); a pass that was cut short goes on
    with the shards that are not there. Without it frames stay in memory. A clip that cannot be read, or
    that the encoder gives no usable frames, is logged, listed in ``missing`` and tried again by the next call.
    ``layer``: see layers.py. ``nj`` processes of one thread each make the shards where the model is on the CPU; one
    alone uses all of torch's threads. Raises ValueError for a damaged shard, for ``nj`` above 1 without a cache, and
    where padding changes what the encoder gives.
    """
    if nj < 1 or (nj > 1 and cache is None):
        raise ValueError(f"nj: {nj} processes; at least 1, and a cache folder that several of them can write to")
    if nj > 1 and model.device.type != "cpu":
        LOG.warning("%d processes are for the CPU; one process computes the frames on %s", nj, model.device)
        nj = 1
    clips = [EvalClip.from_cut(cut) for cut in read_manifest(manifest)]
    plan = list(_shards(clips, batch_seconds, shard_seconds))
    work = _Pass(model, layer, manifest, [clip.id for clip in clips], [clip.duration for clip in clips], plan, cache)
    frames, missing = _held(work) if cache is None else _stored(work, nj)
    lost = set(missing)
    return FrozenFrames([clip for clip in clips if clip.id not in lost], frames, missing)


def _held(work: _Pass) -> tuple[Sequence[Tensor], list[str]]:
    """Frames of the clips that could be read, in memory, and the ids of the others."""
    shards = progress(map(work.compute, work.plan), len(work.plan), "frames")
    found = {id_: frames for shard in shards for id_, frames in packed(shard).items()}
    return [found[i] for i in work.ids if i in found], [i for i in work.ids if i not in found]


def _stored(work: _Pass, nj: int) -> tuple[Sequence[Tensor], list[str]]:
    """The same from shards on disk, after those that are missing were made."""
    started, shards = time.monotonic(), range(len(work.plan))
    todo = [n for n in shards if any(work.lacking(n))]
    if todo:
        work.index  # noqa: B018  opened once for all processes
    made = list(progress(in_processes(work.make, todo, nj), len(todo), "shards of frames"))
    if made:
        clips, seconds = map(sum, zip(*made, strict=True))
        LOG.info("frames of %d clips, %.0f s of audio in %.1f s", clips, seconds, time.monotonic() - started)
    return stored_frames((Shard.open(work.path(n)) for n in shards if work.path(n).is_file()), work.ids)


@dataclass
class _Pass:
    """What each process must know. ids, durations (seconds): of all clips; plan: the batches of clips of each shard."""

    model: AudioTextModel
    layer: Layer
    manifest: Path
    ids: list[str]
    durations: list[float]
    plan: list[Batches]
    cache: Path | None

    @cached_property
    def index(self) -> ManifestIndex:
        return ManifestIndex(self.manifest, captions=False)

    @cached_property
    def frontend(self) -> Frontend:
        return copy.deepcopy(self.model.frontend).cpu()

    def path(self, shard: int) -> Path:
        return self.cache / f"shard-{shard:05d}.safetensors"

    def lacking(self, shard: int) -> Batches:
        """The clips of a shard that are not in its file, by batch."""
        path, batches = self.path(shard), self.plan[shard]
        there = set(Shard.open(path).ids) if path.is_file() else set()
        return [[i for i in batch if self.ids[i] not in there] for batch in batches]

    def make(self, shard: int) -> tuple[int, float]:
        """Write a shard, or what is lacking in it. Returns the clips computed and the seconds of those tried."""
        path, lacking = self.path(shard), list(filter(None, self.lacking(shard)))  # or made meanwhile by another run
        if computed := self.compute(lacking):
            write_shard(path, packed((Shard.open(path).held() if path.is_file() else {}) | computed))
        return len(computed), sum(self.durations[i] for batch in lacking for i in batch)

    @torch.inference_mode()
    def compute(self, batches: Batches) -> dict[str, Tensor]:
        """Frames (T'_i, D) by id of those clips that can be read."""
        self.model.eval()
        found: dict[str, Tensor] = {}
        checked = False  # one batch of a shard tells
        for batch in batches:
            feats = {i: feat for i in batch if (feat := self.features(i)) is not None}
            if feats:
                output = self.model.encode_audio(pad(list(feats.values())).to(self.model.device))
                ids = [self.ids[i] for i in feats]
                if not checked and len({len(x) for x in feats.values()}) > 1:
                    check_padding(self.model, ids, list(feats.values()), output)
                    checked = True
                rows = zip(ids, take_layer(output, self.layer), strict=True)
                found |= {id_: frames.cpu().clone() for id_, frames in rows if usable(id_, frames)}
        return found

    def features(self, i: int) -> Tensor | None:
        """Features (T, F) of a clip, or None (logged) where it cannot be read."""
        cut = self.index.cut(i)
        stored = cut.has_features and cut.num_features == self.frontend.feature_dim
        try:
            return load_features(cut, self.frontend, stored=stored)[0]
        except RootError:
            raise
        except Exception as error:  # one unreadable clip must not cost the evaluation: it is counted as missing
            LOG.warning("%s: cannot read its features or audio, left out: %s", cut.id, error)
            return None


def _shards(clips: Sequence[EvalClip], batch_seconds: float, shard_seconds: float) -> Iterator[Batches]:
    """Every batch, in groups that follow from the manifest alone, so that a resumed pass plans as the first did."""
    order = sorted(range(len(clips)), key=lambda i: (clips[i].duration, clips[i].id))
    shard: Batches = []
    seconds = 0.0
    for batch in _batches(order, clips, batch_seconds):
        shard.append(batch)
        seconds += sum(clips[i].duration for i in batch)
        if seconds >= shard_seconds:
            yield shard
            shard, seconds = [], 0.0
    if shard:
        yield shard


def _batches(order: list[int], clips: Sequence[EvalClip], batch_seconds: float) -> Iterator[list[int]]:
    """Neighbours in length, so that padded length (not the sum) stays under ``batch_seconds``."""
    batch: list[int] = []
    for i in order:
        if batch and clips[i].duration * (len(batch) + 1) > batch_seconds:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
