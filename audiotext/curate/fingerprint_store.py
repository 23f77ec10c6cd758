"""Fingerprints of all clips of manifests: a folder of shards that are read by memory map, made in parallel, resumable.

STORE/store.json names the parts and counts; STORE/NAME-KEY/ holds those of one manifest, where KEY stands for its
contents, so that a shard that is finished is not made again and another manifest can be added. STORE/rejected.jsonl
names the clips that have no fingerprint, and why.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from audiotext.curate import fingerprint as algorithm
from audiotext.data.audio import read_cut
from audiotext.data.columns import open_columns, write_columns
from audiotext.data.corpus import DataError, write_lines
from audiotext.data.index import ManifestIndex
from audiotext.data.processes import in_processes, one_thread
from audiotext.data.progress import progress

LOG = logging.getLogger(__name__)
_FORMAT = 1  # raise when the fingerprints of older code must not be compared with new ones
_NOTHING = "no fingerprint: silent, unchanging or shorter than half a second"


@dataclass
class StoreSummary:
    """clips: read. fingerprinted, silent, undecodable: what became of them. seconds: of audio that was decoded."""

    clips: int = 0
    fingerprinted: int = 0
    silent: int = 0
    undecodable: int = 0
    seconds: float = 0.0
    bytes: int = 0

    def __str__(self) -> str:
        return (
            f"{self.fingerprinted} of {self.clips} clips have a fingerprint, {self.silent} are silent, unchanging or "
            f"too short, {self.undecodable} cannot be decoded; {self.seconds / 3600:.2f} h, {self.bytes / 1e6:.1f} MB"
        )


@dataclass(frozen=True)
class Shard:
    """Fingerprints of consecutive clips. ``bits`` (N,) uint32 of all of them, clip i from starts[i] to starts[i + 1];
    sources, splits: names; source, split: their numbers, (clips,)."""

    bits: np.ndarray
    starts: np.ndarray
    ids: list[str]
    sources: list[str]
    source: np.ndarray
    splits: list[str]
    split: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def in_training(self) -> np.ndarray:
        """Whether each clip is one to train on (clips,)."""
        return np.array([name == "train" for name in self.splits], dtype=bool)[self.split]

    @property
    def sets(self) -> list[str]:
        """What each clip belongs to (clips,): its source, and its split unless that is train."""
        named = zip(self.source.tolist(), self.split.tolist(), strict=True)
        named = ((self.sources[i], self.splits[j]) for i, j in named)
        return [source if split == "train" else f"{source} {split}" for source, split in named]

    def chosen(self, keep: np.ndarray) -> Shard:
        """Only the clips where ``keep`` (clips,) is true."""
        lengths = np.diff(self.starts)
        bits = self.bits[np.repeat(keep, lengths)]
        starts = np.concatenate([[0], np.cumsum(lengths[keep])])
        ids = [id_ for id_, kept in zip(self.ids, keep.tolist(), strict=True) if kept]
        return Shard(bits, starts, ids, self.sources, self.source[keep], self.splits, self.split[keep])


def read_store(folder: Path) -> list[Path]:
    """The shards of a finished store. Raises DataError where there is none, or one that other code wrote."""
    try:
        record = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        if record["format"] == _FORMAT:
            return [folder / part / f"{n:06d}" for part, shards in record["parts"].items() for n in range(shards)]
    except FileNotFoundError:
        raise DataError(f"{folder}: no finished fingerprints; make them: audiotext fingerprint --manifest ... --out "
                        f"{folder}") from None  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder}/store.json: cannot be read: {error!r}; delete {folder} and make it again") from None
    raise DataError(f"{folder}: the fingerprints are of another version of audiotext; make them again")


def read_shard(path: Path) -> Shard:
    """Raises DataError where the file is missing or broken."""
    try:
        columns, notes = open_columns(path)
        names = {field: (notes[field], columns[field]) for field in ("source", "split")}
        return Shard(columns["bits"], columns["starts"], notes["ids"], *names["source"], *names["split"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot be read: {error}; delete it and make the fingerprints again") from None


def write_store(manifests: Sequence[Path], out: Path, nj: int = 1, shard_clips: int = 1000) -> StoreSummary:
    """Fingerprint every clip of ``manifests`` in ``nj`` processes.

    Raises DataError where a manifest is wrong, no clip can be decoded or a worker dies; what is finished then stays
    for the next run.
    """
    if nj < 1:
        raise DataError(f"nj must be at least 1, got {nj}")
    parts = [_Part(ManifestIndex(path, captions=False), out, shard_clips) for path in manifests]
    parts = list({part.folder: part for part in parts}.values())
    todo = [(i, n) for i, part in enumerate(parts) for n in range(part.shards) if not part.path(n).is_file()]
    try:
        for part in parts:
            part.folder.mkdir(parents=True, exist_ok=True)
        for _ in progress(_run(parts, todo, nj), len(todo), "fingerprints"):
            pass
        return _finish(parts, out)
    except OSError as error:
        raise DataError(f"{out}: cannot write fingerprints: {error}; finished shards are kept") from None


class _Part:
    """The fingerprints of one manifest."""

    def __init__(self, index: ManifestIndex, out: Path, shard_clips: int):
        self.index, self.shard_clips = index, shard_clips
        self.shards = math.ceil(len(index) / shard_clips)
        name = index.path.name.split(".")[0]
        name = index.path.resolve().parent.name if name == "cuts" else name
        self.folder = out / f"{name}-{_key(index.path, shard_clips)}"

    def path(self, shard: int) -> Path:
        return self.folder / f"{shard:06d}"

    def make(self, shard: int) -> None:
        """Write one shard; the file of bits comes last and says that it is finished."""
        first = shard * self.shard_clips
        ids, bits, rejected, summary = [], [], [], StoreSummary()
        tables: dict[str, dict[str, int]] = {"source": {}, "split": {}}
        codes: dict[str, list[int]] = {"source": [], "split": []}
        for i in range(first, min(first + self.shard_clips, len(self.index))):
            cut = self.index.cut(i)
            summary.clips += 1
            try:
                found = algorithm.fingerprint(read_cut(cut, algorithm.SAMPLE_RATE))
            except Exception as error:  # decoders raise anything; a bad clip is named, the rest goes on
                rejected.append({"id": cut.id, "reason": str(error) or type(error).__name__})
                summary.undecodable += 1
                continue
            summary.seconds += cut.duration
            if not len(found):
                rejected.append({"id": cut.id, "reason": _NOTHING})
                summary.silent += 1
                continue
            custom = (cut.supervisions[0].custom if cut.supervisions else None) or {}
            named = {"source": custom.get("source") or "unknown", "split": custom.get("split") or "train"}
            for field, table in tables.items():
                codes[field].append(table.setdefault(str(named[field]), len(table)))
            ids.append(cut.id)
            bits.append(found)
            summary.fingerprinted += 1
        columns = {
            "bits": np.concatenate([np.zeros(0, dtype=np.uint32), *bits]),
            "starts": np.cumsum([0, *map(len, bits)], dtype=np.int64),
            **{field: np.array(values, dtype=np.int32) for field, values in codes.items()},
        }
        summary.bytes = columns["bits"].nbytes
        rejected = [{"manifest": str(self.index.path), **row} for row in rejected]
        names = {field: list(table) for field, table in tables.items()}
        write_columns(self.path(shard), columns, {"ids": ids, "rejected": rejected, "summary": asdict(summary)} | names)


def _run(parts: list[_Part], todo: list[tuple[int, int]], nj: int) -> Iterator[None]:
    """Make shards, (part, shard) each, in this process or in ``nj``; yields as each is finished."""
    with one_thread():
        yield from in_processes(partial(_make, parts), todo, nj)


def _make(parts: list[_Part], job: tuple[int, int]) -> None:
    part, shard = job
    parts[part].make(shard)


def _finish(parts: list[_Part], out: Path) -> StoreSummary:
    """Say what the store holds, and remove what it held before and holds no more."""
    whole, reasons = StoreSummary(), []

    def rejected() -> Iterator[str]:
        for part in parts:
            for shard in range(part.shards):
                _, notes = open_columns(part.path(shard))
                for name, value in notes["summary"].items():
                    setattr(whole, name, getattr(whole, name) + value)
                for row in notes["rejected"]:
                    reasons[:] = reasons or [row["reason"]]
                    yield json.dumps(row, ensure_ascii=False)

    write_lines(out / "rejected.jsonl", rejected())
    if whole.undecodable == whole.clips:
        raise DataError(f"{out}: not one of {whole.clips} clips could be decoded; the first: {reasons[0]}")
    record = {"format": _FORMAT, "parts": {part.folder.name: part.shards for part in parts}, "summary": asdict(whole)}
    write_lines(out / "store.json", [json.dumps(record, indent=1)])
    for other in out.iterdir():
        shards = other.is_dir() and any(re.fullmatch(r"\d{6}", path.name) for path in other.iterdir())
        if shards and other not in {part.folder for part in parts}:
            LOG.info("removing %s: its manifest was changed, or is not given any more", other)
            shutil.rmtree(other)
    return whole


def _key(manifest: Path, shard_clips: int) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {shard_clips}".encode())
    files = sorted(manifest.glob("*.jsonl*")) if manifest.is_dir() else [manifest]
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]
