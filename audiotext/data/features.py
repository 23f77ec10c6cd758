"""Features of a whole manifest into shards, in parallel, resumable.

Beside the manifest OUT.jsonl this writes OUT.features.json (what was made, from what, how fast), OUT.rejected.jsonl
(clips that could not be decoded, and why) and shards/OUT-KEY/, where KEY stands for the contents of the input manifest
and the frontend's options: a shard that is finished under the same key is not made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lhotse import Features

from audiotext.config import to_tree
from audiotext.data.audio import read_cut
from audiotext.data.corpus import DataError, write_lines
from audiotext.data.index import ManifestIndex
from audiotext.data.processes import in_processes, one_thread
from audiotext.data.progress import progress
from audiotext.data.roots import RootError
from audiotext.data.storage import ShardWriter
from audiotext.frontend.base import Frontend
from audiotext.types import Padded

LOG = logging.getLogger(__name__)
_FORMAT = 1  # raise when shards of older code must not be used


@dataclass
class FeatureSummary:
    """What an extraction made. seconds: audio stored; the speed is that of the audio extracted in ``wall_seconds``."""

    key: str
    manifest: str
    frontend: dict[str, Any]
    clips: int
    rejected: int
    seconds: float
    extracted_seconds: float
    wall_seconds: float
    nj: int

    @property
    def real_time_factor(self) -> float:
        """Wall time per second of audio; 0 where nothing had to be extracted."""
        return self.wall_seconds / self.extracted_seconds if self.extracted_seconds else 0.0

    def __str__(self) -> str:
        said = f"{self.clips} clips, {self.seconds / 3600:.2f} h of audio, {self.rejected} rejected"
        if not self.extracted_seconds:
            return f"{said}; all shards were there already"
        return (
            f"{said}; {self.extracted_seconds / 3600:.2f} h extracted in {self.wall_seconds:.1f} s "
            f"by {self.nj} processes, real-time factor {self.real_time_factor:.5f} "
            f"({1 / self.real_time_factor:.0f} times real time)"
        )


def extract_features(
    manifest: Path, out: Path, frontend: Any, nj: int = 1, shard_clips: int = 250
) -> FeatureSummary:
    """Write ``out``: the cuts of ``manifest`` in their order with features attached.

    frontend: the config of a registered frontend. nj: worker processes, one thread each. Raises DataError where the
    manifest is wrong, not one clip can be decoded or a worker dies; what is finished then stays for the next run.
    """
    manifest, out, started = Path(manifest), Path(out), time.monotonic()
    if nj < 1 or shard_clips < 1:
        raise DataError(f"nj and shard_clips must be at least 1, got {nj} and {shard_clips}")
    if manifest.resolve() == out.resolve():
        raise DataError(f"{out}: the output would overwrite the input manifest; choose another name")
    if manifest.is_dir():
        raise DataError(f"{manifest}: a Shar folder is trained on as it is; features are extracted of .jsonl")
    index = ManifestIndex(manifest, captions=False)
    name = out.name.removesuffix(".gz").removesuffix(".jsonl")
    key = _key(manifest, frontend, shard_clips)
    folder = out.parent / "shards" / f"{name}-{key}"
    work = _Work(index, frontend, folder.resolve(), shard_clips)
    todo = [n for n in range(work.shards) if not work.path(n, ".jsonl").is_file()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        extracted = sum(progress(_run(work, todo, nj), len(todo), f"features of {name}"))
        seconds, clips = _join(work, out)
        rejected = [line for n in range(work.shards) for line in _lines(work.path(n, ".rejected"))]
        write_lines(out.with_name(f"{name}.rejected.jsonl"), rejected)
    except OSError as error:
        raise DataError(f"{out.parent}: cannot write features: {error}; finished shards are kept") from None
    if not clips:
        reason = json.loads(rejected[0])["reason"]
        raise DataError(f"{manifest}: not one of {len(rejected)} clips could be decoded; the first: {reason}")
    wall = time.monotonic() - started
    summary = FeatureSummary(
        key, str(manifest), to_tree(frontend), clips, len(rejected), seconds, extracted, wall, nj
    )
    recorded = out.with_name(f"{name}.features.json")
    if todo or not recorded.is_file():  # a run that made nothing has no speed to record
        record = asdict(summary) | {"real_time_factor": summary.real_time_factor}
        write_lines(recorded, [json.dumps(record, indent=1, ensure_ascii=False)])
    _remove_stale(folder, name)
    return summary


@dataclass
class _Work:
    """What a worker must know; shard ``n`` holds the cuts from ``n * shard_clips`` on."""

    index: ManifestIndex
    frontend: Any
    folder: Path
    shard_clips: int

    @property
    def shards(self) -> int:
        return math.ceil(len(self.index) / self.shard_clips)

    def path(self, shard: int, suffix: str) -> Path:
        return self.folder / f"{shard:06d}{suffix}"

    @cached_property
    def built(self) -> Frontend:
        """The frontend of this process."""
        return self.frontend.build()

    def make(self, shard: int) -> float:
        """Write one shard; its manifest comes last and says that it is finished. Returns seconds of audio."""
        first = shard * self.shard_clips
        cuts, rejected, seconds = [], [], 0.0
        with ShardWriter(self.path(shard, ".f16")) as writer:
            for i in range(first, min(first + self.shard_clips, len(self.index))):
                try:
                    cut = self.index.cut(i)
                    cut.features = store_features(cut, self.built, writer, type(self.frontend).part_name)
                except (OSError, RootError):
                    raise
                except Exception as error:  # decoders raise anything; a bad clip is rejected, the rest goes on
                    reason = str(error) or type(error).__name__
                    rejected.append({"id": self.index.ids[i], "reason": reason})
                    continue
                seconds += cut.duration
                cuts.append(json.dumps(cut.to_dict(), ensure_ascii=False))
        write_lines(self.path(shard, ".rejected"), (json.dumps(r, ensure_ascii=False) for r in rejected))
        write_lines(self.path(shard, ".jsonl"), cuts)
        return seconds


def store_features(cut: Any, frontend: Frontend, writer: ShardWriter, kind: str) -> Features:
    """Decode a cut, store its features, and describe them for lhotse. Raises AudioError, or DataError for no frame."""
    wave = read_cut(cut, frontend.sample_rate)[None]
    with torch.no_grad():
        feats = frontend(Padded(wave, torch.tensor([wave.shape[1]]))).data[0]
    if not len(feats):
        raise DataError(f"{cut.id}: {cut.duration:g} s are too short for one frame")
    if not feats.sum().isfinite():
        raise DataError(f"{cut.id}: the features are not finite numbers")
    key = writer.write(cut.id, feats.half().numpy())  # torch halves the precision faster than numpy does
    return Features(
        type=kind,
        num_frames=feats.shape[0],
        num_features=feats.shape[1],
        frame_shift=frontend.frame_shift,
        sampling_rate=frontend.sample_rate,
        start=cut.start,
        duration=cut.duration,
        storage_type=writer.name,
        storage_path=writer.storage_path,
        storage_key=key,
        recording_id=cut.recording.id,
        channels=cut.channel,
    )


def _run(work: _Work, todo: list[int], nj: int) -> Iterator[float]:
    """Make shards, in this process or in ``nj``; yields the seconds of audio of each as it is finished."""
    with one_thread():
        yield from in_processes(work.make, todo, nj)


def _join(work: _Work, out: Path) -> tuple[float, int]:
    """All shard manifests, in order, as one. Returns (seconds of audio, clips)."""
    seconds, clips = 0.0, 0

    def lines() -> Iterator[str]:
        nonlocal seconds, clips
        for shard in range(work.shards):
            for line in _lines(work.path(shard, ".jsonl")):
                seconds, clips = seconds + json.loads(line)["duration"], clips + 1
                yield line

    write_lines(out, lines())
    return seconds, clips


def _lines(path: Path) -> Iterable[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _key(manifest: Path, frontend: Any, shard_clips: int) -> str:
    digest = hashlib.sha256(json.dumps([_FORMAT, shard_clips, to_tree(frontend)], sort_keys=True).encode())
    with manifest.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:12]


def _remove_stale(folder: Path, name: str) -> None:
    """Shards of the same output made from another manifest or with other options: nothing refers to them now."""
    for other in folder.parent.iterdir():
        if other != folder and re.fullmatch(re.escape(name) + "-[0-9a-f]{12}", other.name):
            LOG.info("removing %s, made from another manifest or with other options", other)
            shutil.rmtree(other)
