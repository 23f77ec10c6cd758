"""The validation part of a training split."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit

ATTEMPTS = 10


def validation_split(
    targets: Sequence[int], families: Sequence[str], part: float, seed: int
) -> tuple[list[int], list[int], str]:
    """Indices to train on, indices to choose on, and how they were parted.

    ``grouped``: whole families, stratified, so that near-duplicates do not decide. Where no such split leaves every
    class with training items (a class of one family), ``stratified``: by items. Raises ValueError for a class with
    one item.
    """
    targets, families = np.asarray(targets), np.asarray(families)
    classes, counts = np.unique(targets, return_counts=True)
    if counts.min() < 2:
        raise ValueError(f"class number {classes[counts.argmin()]} has one training clip; a validation part needs two")
    folds = max(2, round(1 / part))
    if len(np.unique(families)) >= folds and counts.min() >= folds:
        for attempt in range(ATTEMPTS):
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed * ATTEMPTS + attempt)
            train, chosen = next(splitter.split(targets, targets, families))
            if len(np.unique(targets[train])) == len(np.unique(targets[chosen])) == len(classes):
                return train.tolist(), chosen.tolist(), "grouped"
    size = max(len(classes), math.ceil(part * len(targets)))
    splitter = StratifiedShuffleSplit(1, test_size=size, random_state=seed)
    train, chosen = next(splitter.split(targets, targets))
    return train.tolist(), chosen.tolist(), "stratified"
