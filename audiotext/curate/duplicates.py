"""Exact duplicates: one recording, one clip, with the captions of all of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

from audiotext.curate.captions import usable
from audiotext.curate.entry import Entry, Removal
from audiotext.data.corpus import DataError


def fingerprints(entries: list[Entry]) -> list[str]:
    """Hash of file content, start, duration and channel of each clip.

    Raises DataError naming the clip and its manifest where a file is missing.
    """
    hashes: dict[str, str] = {}
    found = []
    for entry in entries:
        path = entry.audio
        if path not in hashes:
            try:
                hashes[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            except OSError as error:
                raise DataError(
                    f"{entry.origin}: clip {entry.id!r}: cannot read {path}: {error.strerror}; prepare the corpus again"
                ) from None
        found.append(f"{hashes[path]}@{entry.cut.start:.3f}+{entry.duration:.3f}:{entry.cut.channel}")
    return found


def merge_duplicates(entries: list[Entry], probe_labels: tuple[str, ...]) -> tuple[list[Entry], list[Removal]]:
    """One clip per recording, and what was merged into which.

    Kept is a test clip before a probe's training clip before another, then the smallest id. It takes over the
    captions, labels and questions of the others, and their families become one, since their other members are now
    near-duplicates of it. A probe label that the duplicates disagree about is dropped: the recording cannot tell.
    Raises DataError where one id names two recordings.
    """
    keys = fingerprints(entries)
    recordings: dict[str, str] = {}
    for entry, key in zip(entries, keys, strict=True):
        if recordings.setdefault(entry.id, key) != key:
            origins = sorted({other.origin for other in entries if other.id == entry.id})
            raise DataError(
                f"clip id {entry.id!r} names different recordings in {' and '.join(origins)}; ids must be unique"
            )
    alike: dict[str, list[Entry]] = defaultdict(list)
    for entry, key in zip(entries, keys, strict=True):
        alike[key].append(entry)
    kept, removed, links = [], [], []
    for same in alike.values():
        same.sort(key=lambda e: (_rank(e, probe_labels), e.id, e.captions))
        first, others = same[0], same[1:]
        links += [(first.group, other.group) for other in others]
        removed += _merge(first, others, probe_labels)
        kept.append(first)
    _join_groups(kept, links)
    return kept, removed


def _rank(entry: Entry, probe_labels: tuple[str, ...]) -> int:
    return 0 if entry.split != "train" else 1 if entry.probes(probe_labels) else 2


def _merge(first: Entry, others: list[Entry], probe_labels: tuple[str, ...]) -> list[Removal]:
    """Put captions, labels and questions of ``others`` into ``first``."""
    if not others:
        return []
    removed = [Removal(other.id, other.source, "duplicates", f"same recording as {first.id}") for other in others]
    pairs = [pair for entry in (first, *others) for pair in zip(entry.captions, entry.styles, strict=True)]
    first.set_captions(usable(pairs)[0])
    labels: dict[str, Any] = dict(first.labels)
    for other in others:
        for name, value in other.labels.items():
            if labels.setdefault(name, value) != value and name in probe_labels:
                labels[name] = None
    for name in [name for name, value in labels.items() if value is None]:
        del labels[name]
        text = f"label {name} dropped: duplicates disagree, such as {others[0].id}"
        removed.append(Removal(first.id, first.source, "labels", text))
    first.custom["labels"] = labels
    asked = {q["question"]: q for entry in (*reversed(others), first) for q in entry.custom.get("questions") or []}
    first.custom["questions"] = [asked[question] for question in sorted(asked)]
    return removed


def _join_groups(entries: list[Entry], links: list[tuple[str, str]]) -> None:
    """Give linked groups one name: the smallest among them (union-find)."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.get(name, name) != name:
            name = parent[name]
        return name

    for a, b in links:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    for entry in entries:
        entry.custom["group"] = root(entry.group)
