"""Classification scores, by scikit-learn where it has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn import metrics
from torch import Tensor

Labels = Sequence[int] | np.ndarray | Tensor


def accuracy(predicted: Labels, target: Labels) -> float:
    """Part of items whose class is right. Raises ValueError for no items or unequal numbers."""
    predicted, target = _pair(predicted, target)
    return float((predicted == target).mean())


def balanced_accuracy(predicted: Labels, target: Labels) -> float:
    """Mean over the classes present in ``target`` of their recall."""
    predicted, target = _pair(predicted, target)
    return float(np.mean([(predicted[target == c] == c).mean() for c in np.unique(target)]))


def mean_average_precision(scores: np.ndarray | Tensor, target: np.ndarray | Tensor) -> float:
    """Mean over classes of average precision: scores (N, C), target (N, C) booleans.

    Classes without a positive item have no average precision and are left out. Raises ValueError where none is left.
    """
    scores, target = np.asarray(scores), np.asarray(target).astype(bool)
    if scores.shape != target.shape or scores.ndim != 2:
        raise ValueError(f"mean average precision: scores {scores.shape} and targets {target.shape} must be (N, C)")
    present = target.any(0)
    if not present.any():
        raise ValueError("mean average precision: no class has a positive item")
    return float(metrics.average_precision_score(target[:, present], scores[:, present], average="macro"))


def _pair(predicted: Labels, target: Labels) -> tuple[np.ndarray, np.ndarray]:
    predicted, target = np.asarray(predicted), np.asarray(target)
    if predicted.shape != target.shape or predicted.ndim != 1 or not len(target):
        raise ValueError(f"predictions {predicted.shape} and targets {target.shape} must be equally many, at least one")
    return predicted, target
