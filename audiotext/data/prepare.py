"""From clips to a checked manifest: the one place where recordings, captions and counts are verified.

A corpus preparer yields `Clip`s and nothing else. `prepare` decodes each recording once, keeps what is usable,
writes down what is not and why, and counts both, so that no number downstream rests on silently missing data.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiotext.data.audio import why_unreadable
from audiotext.data.checked import Checked, Seen, Shards, confirmed, equal_recordings, shard_key
from audiotext.data.corpus import DOMAINS, Clip, DataError, Decoded, Rejected, clean_captions, write_lines
from audiotext.data.digest import file_sha256
from audiotext.data.manifest import clip_to_cut
from audiotext.data.progress import progress

MISSING = "missing file: no such file"
WORK = ".work"  # in the output folder, while it is being made
LENGTHS = (0.1, 30.0)  # seconds: the shortest and the longest clip that is kept
SILENCE = 1e-3  # peak amplitude; quieter is below -60 dB of full scale


@dataclass
class Coverage:
    """Counts per split of one source, and why clips were rejected.

    expected: known from the publishers. listed: in the metadata at hand. excluded: left out on purpose. found: those
    whose file is there. readable: those that decode to audio of a usable length. captioned: those with a caption too.
    kept: in the manifest.
    """

    source: str
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    domains: dict[str, int] = field(default_factory=dict)

    def add(self, split: str, column: str, count: int = 1) -> None:
        row = self.splits.setdefault(split, dict.fromkeys(COLUMNS, 0))
        row[column] += count

    def warnings(self, tolerance: float = 0.2) -> list[str]:
        """Splits whose listed or found clips are off the expected count by more than ``tolerance``."""
        off = []
        for split, row in self.splits.items():
            for column in ("listed", "found"):
                if row["expected"] and abs(row[column] - row["expected"]) > tolerance * row["expected"]:
                    told = f"{row[column]} clips {column} where {row['expected']} were expected"
                    off.append(f"{self.source}: {split}: {told}")
                    break
        return off

    def lacking(self, share: float) -> list[str]:
        """Splits of which less than ``share`` of the clips, expected or listed, whichever is more, can be read."""
        short = []
        for split, row in self.splits.items():
            wanted = max(row["expected"], row["listed"]) - row["excluded"]
            if row["readable"] < share * wanted:
                have = f"{row['readable']} of {wanted} clips are readable ({row['readable'] / wanted:.2%})"
                short.append(f"{self.source}: {split}: {have}")
        return short


COLUMNS = ("expected", "listed", "excluded", "found", "readable", "captioned", "kept")


def prepare(
    clips: Iterable[Clip | Rejected],
    out: Path,
    source: str = "",
    expected: dict[str, int] | None = None,
    nj: int = 1,
    seconds: tuple[float, float] = LENGTHS,
    shard_clips: int = 50_000,
) -> Coverage:
    """Check ``clips`` and write out/{cuts.jsonl, rejected.jsonl, missing.tsv, coverage.json}.

    expected: clips per split. seconds: shortest and longest clip kept. A bad clip is rejected with a reason and never
    stops the rest; of recordings that are equal byte for byte one is kept, a test clip before a training clip.
    shard_clips: so many are in memory; finished shards lie in out/.work until all is done, and a run that was stopped
    goes on after them. Raises DataError where nothing usable is left.
    """
    refused, seen, shards, begun = _Refused(out / WORK / "refused.jsonl"), Seen(), Shards(out / WORK), time.monotonic()
    name, count, checked, total = source, 0, 0, sum((expected or {}).values())
    try:
        with refused:
            for batch in _batches(clips, refused, shard_clips):
                name, count = name or batch[0].source, count + len(batch)
                again = seen.again([clip.id for clip in batch])
                made = shards.add(shard_key(batch, again, seconds), partial(_check, batch, again, seconds, nj, name))
                checked += len(batch) if made else 0
                if len(batch) == shard_clips:
                    _tell(name, count, total, checked / (time.monotonic() - begun))
    except DataError:
        if not count:  # no shard was begun
            shards.remove()
        raise
    coverage = Coverage(name or out.name)
    for split, number in (expected or {}).items():
        coverage.add(split, "expected", number)
    if not count:
        first = f"; the first of {refused.count} bad rows: {refused.first}" if refused.count else ""
        shards.remove()
        raise DataError(f"{coverage.source}: no clips found; look at the corpus folder and its layout{first}")
    repeats = confirmed(equal_recordings(shards), shards)
    _cover(coverage, shards, repeats, refused)
    first = _write_problems(shards, repeats, refused, out)
    if not sum(row["kept"] for row in coverage.splits.values()):
        shards.remove()
        raise DataError(f"{coverage.source}: none of {count} clips is usable; {first}; see {out}/rejected.jsonl")
    kept = (clip for i, clip in enumerate(shards) if not clip.reason and i not in repeats)
    write_lines(out / "cuts.jsonl", (clip.line for clip in kept))
    write_lines(out / "coverage.json", [json.dumps(vars(coverage), indent=1, ensure_ascii=False)])
    shards.remove()
    return coverage


class _Refused:
    """Rows that gave no clip: counted, and kept in a file until they are written down."""

    def __init__(self, path: Path):
        self.path, self.count, self.first = path, 0, ""
        self.rows: Counter[tuple[str, bool]] = Counter()
        self.reasons: Counter[str] = Counter()

    def __enter__(self) -> _Refused:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, row: Rejected) -> None:
        self.first, self.count = self.first or row.reason, self.count + 1
        self.rows[row.split, row.owed] += 1
        self.reasons[_kind(row.reason)] += 1
        self._file.write(_rejected(row.id, row.reason, "", "") + "\n")

    def lines(self) -> Iterator[str]:
        with self.path.open(encoding="utf-8") as file:
            yield from (line.rstrip("\n") for line in file)


def _batches(clips: Iterable[Clip | Rejected], refused: _Refused, size: int) -> Iterator[list[Clip]]:
    batch: list[Clip] = []
    for clip in clips:
        if isinstance(clip, Rejected):
            refused.add(clip)
            continue
        batch.append(clip)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _tell(name: str, count: int, total: int, rate: float) -> None:
    left = f", about {(total - count) / rate / 60:.0f} min left" if rate and total > count else ""
    of = f" of about {total}" if total else ""
    logging.info("%s: %d%s clips checked, %.0f a second%s", name, count, of, rate, left)


def _check(
    clips: list[Clip], again: list[bool], seconds: tuple[float, float], nj: int, name: str
) -> Iterator[Checked]:
    """Each clip with what its fields and its audio turned out to be."""
    early = {i: problem for i, clip in enumerate(clips) if (problem := _field_problem(clip, again[i]))}
    decoded = _decode_all(clips, early, seconds, nj, name)
    for i, clip in enumerate(clips):
        audio = decoded.get(i, Decoded(early.get(i, "")))
        readable = i in decoded and not audio.problem
        yield Checked(
            id=clip.id,
            split=clip.split,
            domain=clip.domain,
            file=str(clip.audio),
            where=clip.where,
            reason=audio.problem,
            early=i in early,
            found=clip.audio.is_file(),
            readable=readable,
            captioned=readable and bool(clean_captions(clip)[0]),
            seconds=audio.duration,
            digest=audio.digest,
            line=json.dumps(clip_to_cut(clip, audio).to_dict(), ensure_ascii=False) if readable else "",
        )


def _reasons(shards: Shards, repeats: dict[int, str]) -> Iterator[tuple[Checked, str]]:
    for i, clip in enumerate(shards):
        again = f"duplicate audio: the same recording as {repeats[i]}" if i in repeats else ""
        yield clip, clip.reason or again


def _cover(coverage: Coverage, shards: Shards, repeats: dict[int, str], refused: _Refused) -> None:
    """Count every clip and row."""
    early, late, same = Counter(), Counter(), Counter()
    domains: Counter[str] = Counter()
    seconds = 0.0
    for clip, reason in _reasons(shards, repeats):
        coverage.add(clip.split, "listed")
        for column, yes in (("found", clip.found), ("readable", clip.readable), ("captioned", clip.captioned),
                            ("kept", not reason)):  # fmt: skip
            coverage.add(clip.split, column, int(yes))
        if reason:
            (early if clip.early else late if clip.reason else same)[_kind(reason)] += 1
        else:
            seconds += clip.seconds
            domains[clip.domain] += 1
    for (split, owed), number in refused.rows.items():
        coverage.add(split, "listed", number)
        coverage.add(split, "excluded", 0 if owed else number)
    coverage.reasons = dict((early + late + same + refused.reasons).most_common())
    coverage.seconds, coverage.domains = round(seconds, 2), dict(domains)


def read_coverage(folder: Path) -> Coverage:
    """The coverage that `prepare` left in ``folder``."""
    return Coverage(**json.loads((folder / "coverage.json").read_text(encoding="utf-8")))


def coverage_table(rows: Iterable[Coverage]) -> str:
    """A Markdown table: one line per source and split, and a total."""
    rows = list(rows)
    lines = ["| source | split | " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * len(COLUMNS)]
    total = dict.fromkeys(COLUMNS, 0)
    for coverage in rows:
        for split, row in sorted(coverage.splits.items(), reverse=True):
            lines.append(f"| {coverage.source} | {split} | " + " | ".join(str(row[c]) for c in COLUMNS) + " |")
            total = {c: total[c] + row[c] for c in COLUMNS}
    lines.append("| **all** | | " + " | ".join(str(total[c]) for c in COLUMNS) + " |")
    domains = sum((Counter(c.domains) for c in rows), Counter())
    hours = sum(c.seconds for c in rows) / 3600
    lines += ["", f"{hours:.2f} hours: " + ", ".join(f"{n} {d}" for d, n in domains.most_common()) + "."]
    reasons = sum((Counter(c.reasons) for c in rows), Counter())
    if reasons:
        lines += ["", "Rejected: " + ", ".join(f"{n} {r}" for r, n in reasons.most_common()) + "."]
    for warning in (w for c in rows for w in c.warnings()):
        lines += ["", f"Warning: {warning}."]
    return "\n".join(lines)


def _field_problem(clip: Clip, again: bool) -> str:
    """What is wrong with a clip before its audio is opened; empty where nothing is. again: its id came before."""
    if clip.domain not in DOMAINS:
        return f"unknown domain: {clip.domain!r} is none of {', '.join(DOMAINS)}"
    if not isinstance(clip.captions, (list, tuple)):
        return f"bad captions: expected a list of texts, got {clip.captions!r}"
    for caption in clip.captions:
        if not isinstance(caption, str):
            return f"bad caption: expected text, got {caption!r}"
    if len(clip.captions) != len(clip.caption_styles):
        return f"bad captions: {len(clip.captions)} captions but {len(clip.caption_styles)} styles"
    if not clean_captions(clip)[0]:
        return "no caption: every caption is empty"
    return "duplicate id: another clip has the same id" if again else ""


def _kind(reason: str) -> str:
    return reason.split(":")[0]


def _rejected(id_: str, reason: str, file: str, where: str) -> str:
    return json.dumps({"id": id_, "reason": reason, "file": file, "where": where}, ensure_ascii=False)


def _write_problems(shards: Shards, repeats: dict[int, str], refused: _Refused, out: Path) -> str:
    """rejected.jsonl, with every reason; missing.tsv, with the clips whose file is not there, for a later download.
    Returns what is wrong with the first clip."""
    first = ""

    def rejected() -> Iterator[str]:
        nonlocal first
        for clip, reason in _reasons(shards, repeats):
            if reason:
                first = first or f"the first, {clip.file}, {reason}"
                yield _rejected(clip.id, reason, clip.file, clip.where)
        yield from refused.lines()

    write_lines(out / "rejected.jsonl", rejected())
    missing = (f"{clip.id}\t{clip.split}\t{clip.file}" for clip in shards if clip.reason == MISSING)
    write_lines(out / "missing.tsv", chain(["id\tsplit\texpected file"], missing))
    return first


def _decode_all(
    clips: list[Clip], skip: dict[int, str], seconds: tuple[float, float], nj: int, name: str
) -> dict[int, Decoded]:
    todo = [i for i in range(len(clips)) if i not in skip]
    jobs = [(str(c.audio), c.start, c.duration, c.at_most, seconds) for c in map(clips.__getitem__, todo)]
    return dict(zip(todo, progress(_map(decode, jobs, nj), len(jobs), f"checking {name}"), strict=True))


def _map(function: Any, jobs: list, nj: int) -> Iterator[Any]:
    if nj <= 1 or len(jobs) < 32:
        yield from map(function, jobs)
        return
    with ProcessPoolExecutor(nj) as pool:
        yield from pool.map(function, jobs, chunksize=16)


def decode(job: tuple[str, float, float | None, float | None, tuple[float, float]]) -> Decoded:
    """Open and decode one clip (path, start, duration, at most, allowed seconds); problems are returned, not raised."""
    path, start, duration, at_most, (shortest, longest) = job
    if not os.path.isfile(path):
        return Decoded(MISSING)
    if not os.path.getsize(path):
        return Decoded("empty file: it holds no bytes")
    try:
        with soundfile.SoundFile(path) as file:
            rate, total, channels = file.samplerate, file.frames, file.channels
            estimated = duration is None and file.format == "MP3"  # the header's length is an estimate there
            if start * rate >= total:
                return Decoded(f"interval outside file: starts at {start:g} s, the file ends at {total / rate:.2f} s")
            length = total / rate - start if duration is None else duration
            if at_most is not None and length > at_most:
                length, estimated = at_most, False
            if not shortest <= length <= longest:
                return Decoded(f"bad duration: {length:.2f} s is outside {shortest} to {longest} s")
            file.seek(min(total, round(start * rate)))
            wave = file.read(round(length * rate), dtype="float32", always_2d=True)
    except (RuntimeError, OSError, ValueError) as error:
        return Decoded(f"unreadable: {why_unreadable(path, error)}")
    if estimated:
        total, length = len(wave) + round(start * rate), len(wave) / rate
    if not len(wave) or len(wave) < 0.99 * length * rate - 1:
        return Decoded(f"truncated: {len(wave) / rate:.2f} s could be read of {length:.2f} s")
    if not np.isfinite(wave).all():
        return Decoded("not finite: the samples hold NaN or infinity")
    if np.abs(wave).max() < SILENCE:
        return Decoded("silent: the peak is below -60 dB")
    # a stereo file is read by its louder channel: a mean of two may cancel, and one side may be empty
    channel = int(np.square(wave).sum(axis=0).argmax())
    sha256 = file_sha256(path)
    digest = sha256 if not start and duration is None else f"{sha256}@{start}+{length}"
    return Decoded("", rate, total, channels, channel, len(wave) / rate, digest, sha256)


def warn(coverage: Coverage) -> None:
    """Say in the log what `Coverage.warnings` found."""
    for text in coverage.warnings():
        logging.warning("%s; another release of the package? The run goes on", text)
