"""From clips to a checked manifest: the one place where recordings, captions and counts are verified.

A corpus preparer yields `Clip`s and nothing else. `prepare` decodes each recording once, keeps what is usable,
writes down what is not and why, and counts both, so that no number downstream rests on silently missing data.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiotext.data.corpus import DOMAINS, Clip, DataError, Decoded, clean_captions, write_lines
from audiotext.data.manifest import clip_to_cut, write_manifest
from audiotext.data.progress import progress

SILENCE = 1e-3  # peak amplitude; quieter is below -60 dB of full scale


@dataclass
class Coverage:
    """Counts per split of one source: expected, found, readable, captioned, kept; and why clips were rejected."""

    source: str
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    domains: dict[str, int] = field(default_factory=dict)

    def add(self, split: str, column: str, count: int = 1) -> None:
        row = self.splits.setdefault(split, dict.fromkeys(COLUMNS, 0))
        row[column] += count

    def warnings(self, tolerance: float = 0.2) -> list[str]:
        """Splits whose found clips are off the expected count by more than ``tolerance``."""
        off = []
        for split, row in self.splits.items():
            if row["expected"] and abs(row["found"] - row["expected"]) > tolerance * row["expected"]:
                off.append(f"{self.source}: {split}: {row['found']} clips found where {row['expected']} were expected")
        return off


COLUMNS = ("expected", "found", "readable", "captioned", "kept")


def prepare(
    clips: Iterable[Clip],
    out: Path,
    source: str = "",
    expected: dict[str, int] | None = None,
    nj: int = 1,
    seconds: tuple[float, float] = (0.1, 30.0),
) -> Coverage:
    """Check ``clips`` and write out/{cuts.jsonl, rejected.jsonl, coverage.json}.

    expected: clips per split. seconds: shortest and longest clip kept. A bad clip is rejected with a reason and never
    stops the rest; of recordings that are equal byte for byte one is kept, a test clip before a training clip.
    Raises DataError where nothing usable is left.
    """
    found = list(clips)
    coverage = Coverage(source or (found[0].source if found else out.name))
    for split, count in (expected or {}).items():
        coverage.add(split, "expected", count)
    if not found:
        raise DataError(f"{coverage.source}: no clips found; look at the corpus folder and its layout")
    reasons = _field_problems(found)
    decoded = _decode_all(found, reasons, seconds, nj, coverage.source)
    for i, audio in decoded.items():
        if audio.problem:
            reasons[i] = audio.problem
    reasons.update(_duplicates(found, {i: d for i, d in decoded.items() if not d.problem}))
    kept = [i for i in range(len(found)) if i not in reasons]
    for i, clip in enumerate(found):
        coverage.add(clip.split, "found")
        readable = i in decoded and not decoded[i].problem
        coverage.add(clip.split, "readable", int(readable))
        coverage.add(clip.split, "captioned", int(readable and bool(clean_captions(clip)[0])))
        coverage.add(clip.split, "kept", int(i not in reasons))
    coverage.reasons = dict(Counter(r.split(":")[0] for r in reasons.values()).most_common())
    coverage.seconds = round(sum(decoded[i].duration for i in kept), 2)
    coverage.domains = dict(Counter(found[i].domain for i in kept))
    rejected = [{"id": found[i].id, "reason": r, "file": str(found[i].audio)} for i, r in sorted(reasons.items())]
    write_lines(out / "rejected.jsonl", (json.dumps(r, ensure_ascii=False) for r in rejected))
    if not kept:
        raise DataError(f"{coverage.source}: none of {len(found)} clips is usable; see {out / 'rejected.jsonl'}")
    write_manifest((clip_to_cut(found[i], decoded[i]) for i in kept), out / "cuts.jsonl")
    write_lines(out / "coverage.json", [json.dumps(vars(coverage), indent=1, ensure_ascii=False)])
    return coverage


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


def _field_problems(clips: list[Clip]) -> dict[int, str]:
    """What is wrong with a clip before its audio is opened: index -> reason."""
    problems, ids = {}, set()
    for i, clip in enumerate(clips):
        problem = _field_problem(clip)
        if not problem and clip.id in ids:
            problem = "duplicate id: another clip has the same id"
        ids.add(clip.id)
        if problem:
            problems[i] = problem
    return problems


def _field_problem(clip: Clip) -> str:
    if clip.domain not in DOMAINS:
        return f"unknown domain: {clip.domain!r} is none of {', '.join(DOMAINS)}"
    if not isinstance(clip.captions, (list, tuple)):
        return f"bad captions: expected a list of texts, got {clip.captions!r}"
    for caption in clip.captions:
        if not isinstance(caption, str):
            return f"bad caption: expected text, got {caption!r}"
    if len(clip.captions) != len(clip.caption_styles):
        return f"bad captions: {len(clip.captions)} captions but {len(clip.caption_styles)} styles"
    return "" if clean_captions(clip)[0] else "no caption: every caption is empty"


def _decode_all(
    clips: list[Clip], skip: dict[int, str], seconds: tuple[float, float], nj: int, name: str
) -> dict[int, Decoded]:
    todo = [i for i in range(len(clips)) if i not in skip]
    jobs = [(str(clips[i].audio), clips[i].start, clips[i].duration, seconds) for i in todo]
    return dict(zip(todo, progress(_map(decode, jobs, nj), len(jobs), f"checking {name}"), strict=True))


def _map(function: Any, jobs: list, nj: int) -> Iterator[Any]:
    if nj <= 1 or len(jobs) < 32:
        yield from map(function, jobs)
        return
    with ProcessPoolExecutor(nj) as pool:
        yield from pool.map(function, jobs, chunksize=16)


def decode(job: tuple[str, float, float | None, tuple[float, float]]) -> Decoded:
    """Open and decode one clip (path, start, duration, allowed seconds); problems are returned, not raised."""
    path, start, duration, (shortest, longest) = job
    if not os.path.isfile(path):
        return Decoded("missing file: no such file")
    if not os.path.getsize(path):
        return Decoded("empty file: it holds no bytes")
    try:
        with soundfile.SoundFile(path) as file:
            rate, total, channels = file.samplerate, file.frames, file.channels
            estimated = duration is None and file.format == "MP3"  # the header's length is an estimate there
            file.seek(min(total, round(start * rate)))
            length = total / rate - start if duration is None else duration
            if not shortest <= length <= longest:
                return Decoded(f"bad duration: {length:.2f} s is outside {shortest} to {longest} s")
            wave = file.read(round(length * rate), dtype="float32", always_2d=True)
    except (RuntimeError, OSError, ValueError) as error:
        return Decoded(f"unreadable: {error}")
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
    with open(path, "rb") as file:
        digest = hashlib.sha1(file.read()).hexdigest()
    if start or duration is not None:
        digest += f"@{start}+{length}"
    return Decoded("", rate, total, channels, channel, len(wave) / rate, digest)


def _duplicates(clips: list[Clip], decoded: dict[int, Decoded]) -> dict[int, str]:
    """Equal recordings after the first; a test clip is kept before a training clip, else the earlier one."""
    first: dict[str, int] = {}
    dropped = {}
    for i in sorted(decoded, key=lambda i: (clips[i].split == "train", i)):
        original = first.setdefault(decoded[i].digest, i)
        if original != i:
            dropped[i] = f"duplicate audio: the same recording as {clips[original].id}"
    return dropped


def warn(coverage: Coverage) -> None:
    """Say in the log what `Coverage.warnings` found."""
    for text in coverage.warnings():
        logging.warning("%s; another release of the package? The run goes on", text)
