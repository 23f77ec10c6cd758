"""Parts of a training split: the one that chooses, and the small ones of low-resource curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit

from audiotext.evaluate.frames import EvalClip

ATTEMPTS = 10
PART = 0.2  # that chooses, where the split that should has no clips


def named_split(clips: Sequence[EvalClip], validation: float | str) -> tuple[list[int], list[int], str] | None:
    """As ``validation_split``, by the split of that name; None for a number, and where either side would be empty."""
    held = [n for n, clip in enumerate(clips) if clip.split == validation]
    inner = [n for n, clip in enumerate(clips) if clip.split != validation]
    return (inner, held, f"split {validation}") if isinstance(validation, str) and held and inner else None


def validation_split(
    targets: Sequence[int], families: Sequence[str], part: float, seed: int
) -> tuple[list[int], list[int], str]:
    """Indices to train on, indices to choose on, and how they were parted.

    ``grouped``: whole families, stratified, so that near-duplicates do not decide. Where no such split leaves every
    class in both parts (a class of one family), ``stratified``: by items. Raises ValueError for a class with one item.
    """
    targets = np.unique(np.asarray(targets), return_inverse=True)[1]
    families = np.unique(np.asarray(families), return_inverse=True)[1]
    sizes = np.bincount(targets)
    if sizes.min() < 2:
        raise ValueError(f"class number {sizes.argmin()} has one training clip; a validation part needs two")
    for attempt in range(ATTEMPTS):
        held = _whole_families(targets, families, part, np.random.default_rng([seed, attempt]))
        counts = np.bincount(targets[held], minlength=len(sizes))
        if counts.min() > 0 and (sizes - counts).min() > 0:
            return np.flatnonzero(~held).tolist(), np.flatnonzero(held).tolist(), "grouped"
    size = max(len(sizes), math.ceil(part * len(targets)))
    splitter = StratifiedShuffleSplit(1, test_size=size, random_state=seed)
    train, chosen = next(splitter.split(targets, targets))
    return train.tolist(), chosen.tolist(), "stratified"


def nested_share(targets: np.ndarray, share: float | None, seed: int) -> list[int]:
    """Indices of ``share`` percent of the items, None for all of them; a larger share of one seed holds a smaller.

    targets: class numbers (N,), of each of which the same part is taken, but no less than two items (or all there are),
    so that one can choose; or truth values (N, C), for which the part is that of the items, two at least.
    """
    if share is None:
        return list(range(len(targets)))
    generator = np.random.default_rng([seed, len(targets)])
    groups = (
        [np.arange(len(targets))] if targets.ndim > 1 else [np.flatnonzero(targets == c) for c in np.unique(targets)]
    )
    taken = [generator.permutation(g)[: max(min(2, len(g)), math.ceil(share / 100 * len(g)))] for g in groups]
    return sorted(np.concatenate(taken).tolist())


def share_facts(targets: np.ndarray, share: float | None, seeds: Sequence[int]) -> dict[str, float]:
    """What ``nested_share`` comes to: how many ``clips``, and of how many ``classes``; mean over seeds."""
    drawn = [targets[nested_share(targets, share, seed)] for seed in seeds]
    classes = [int((found > 0).any(0).sum()) if found.ndim > 1 else len(np.unique(found)) for found in drawn]
    return {"clips": float(np.mean([len(found) for found in drawn])), "classes": float(np.mean(classes))}


def _whole_families(
    targets: np.ndarray, families: np.ndarray, part: float, generator: np.random.Generator
) -> np.ndarray:
    """Items held out (N,) booleans: families in random order, each taken if that brings the classes nearer ``part``."""
    counts = np.zeros((families.max() + 1, targets.max() + 1))
    np.add.at(counts, (families, targets), 1)
    missing = part * counts.sum(0)
    taken = np.zeros(len(counts), dtype=bool)
    for family in generator.permutation(len(counts)):
        after = missing - counts[family]
        if np.abs(after).sum() < np.abs(missing).sum():
            taken[family], missing = True, after
    return taken[families]
