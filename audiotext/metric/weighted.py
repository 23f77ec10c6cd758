"""Scores of weighted items, for many weightings at once: what a bootstrap asks of a score.

Every function maps columns of N items and weights (B, N) (how often each resampled set holds each item) to (B,)
scores. With weights of one they equal the scores of classification.py and scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import ndtri

from audiotext.metric.bleu import SMALL, TINY
from audiotext.metric.meteor import meteor_of_counts

Array = np.ndarray
Columns = Mapping[str, Array]


def mean(columns: Columns, weights: Array) -> Array:
    """Of the column ``value`` (N,)."""
    return weights @ columns["value"].astype(np.float64) / weights.sum(1)


def ratio(columns: Columns, weights: Array) -> Array:
    """Sum of the column ``value`` (N,) by that of ``size`` (N,), a count: an error rate of items of any length."""
    value, size = (weights @ columns[name].astype(np.float64) for name in ("value", "size"))
    return value / np.maximum(size, 1)


def median(columns: Columns, weights: Array) -> Array:
    """Of the column ``value`` (N,): the mean of the two middle ones where the total weight is even."""
    order = np.argsort(columns["value"], kind="stable")
    values = columns["value"][order].astype(np.float64)
    total = weights[:, order].cumsum(1)
    half = total[:, -1:] / 2
    low = (total < half).sum(1)
    high = (total <= half).sum(1)
    return (values[low] + values[np.minimum(high, len(values) - 1)]) / 2


def balanced_accuracy(columns: Columns, weights: Array) -> Array:
    """Mean recall over the classes drawn; ``target`` (N,) class numbers, ``value`` (N,) 1 where right."""
    classes, target = np.unique(columns["target"], return_inverse=True)
    member = np.eye(len(classes))[target]
    sizes = weights @ member
    right = weights @ (member * columns["value"].astype(np.float64)[:, None])
    return np.nansum(np.where(sizes > 0, right / np.maximum(sizes, 1), 0.0), 1) / (sizes > 0).sum(1)


def _ranked(scores: Array, target: Array, weights: Array) -> tuple[Array, Array]:
    """Weight of positives and of all at or above each distinct score, falling: scores and target (N,) -> two (B, K)."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    drawn = weights[:, order]
    return (drawn * target[order]).cumsum(1)[:, last], drawn.cumsum(1)[:, last]


@dataclass(frozen=True)
class _Groups:
    """Groups of equal scores that hold a positive item, scores falling: weights (K, B) and totals (B,).

    own: of the positives in the group. before, until: of all items above the group, and with the group.
    """

    own: Array
    before: Array
    until: Array
    every: Array

    @classmethod
    def of(cls, scores: Array, target: Array, weights: Array) -> _Groups:
        """scores, target (N,); weights (N, B). Only sums between groups with a positive are taken, of which there are
        few in a set of many labels."""
        order = np.argsort(-scores, kind="stable")
        drawn, positive = weights[order], np.flatnonzero(target[order] > 0)
        edges = np.append(np.flatnonzero(np.append(True, np.diff(scores[order]) != 0)), len(order))
        group, first = np.unique(np.searchsorted(edges, positive, side="right") - 1, return_index=True)
        bounds = np.unique(np.concatenate([[0], edges[group], edges[group + 1]]))
        bounds = bounds[bounds < len(order)]
        total = np.vstack([np.zeros(drawn.shape[1]), np.add.reduceat(drawn, bounds, axis=0).cumsum(0)])
        bounds = np.append(bounds, len(order))
        before, until = (total[np.searchsorted(bounds, edges[k])] for k in (group, group + 1))
        own = np.add.reduceat(drawn[positive], first, axis=0) if len(first) else np.zeros((0, drawn.shape[1]))
        return cls(own, before, until, total[-1])


def _average_precision(scores: Array, target: Array, weights: Array) -> Array:
    found = _Groups.of(scores, target, weights)
    positive = found.own.cumsum(0)
    total = found.own.sum(0)
    gained = (found.own * positive / np.maximum(found.until, 1e-12)).sum(0)
    return np.where(total > 0, gained / np.maximum(total, 1e-12), np.nan)


def _area(scores: Array, target: Array, weights: Array) -> Array:
    found = _Groups.of(scores, target, weights)
    positive, total = found.own.cumsum(0), found.own.sum(0)
    negatives = found.every - total
    above = found.before - (positive - found.own)
    level = found.until - found.before - found.own  # a tie counts half
    product = total * negatives
    ordered = (found.own * (negatives - above - level / 2)).sum(0)
    return np.where(product > 0, ordered / np.maximum(product, 1e-12), np.nan)


def _macro(one: Callable[[Array, Array, Array], Array], columns: Columns, weights: Array) -> Array:
    """Mean over the classes that have a value; ``scores`` (N, C), ``target`` (N, C)."""
    scores, target = np.asarray(columns["scores"], np.float64), np.asarray(columns["target"], np.float64)
    drawn = np.ascontiguousarray(weights.T)  # rows of items are taken in another order for every class
    values = np.stack([one(scores[:, c], target[:, c], drawn) for c in range(scores.shape[1])])
    known = ~np.isnan(values)
    return np.nansum(values, 0) / np.maximum(known.sum(0), 1)


def mean_average_precision(columns: Columns, weights: Array) -> Array:
    """Mean over classes with a positive item; ``scores`` (N, C), ``target`` (N, C)."""
    return _macro(_average_precision, columns, weights)


def roc_auc(columns: Columns, weights: Array) -> Array:
    """Mean over classes with positive and negative items; ``scores`` (N, C), ``target`` (N, C)."""
    return _macro(_area, columns, weights)


def d_prime(columns: Columns, weights: Array) -> Array:
    """sqrt(2) z(AUC) of the mean AUC."""
    return d_prime_of(roc_auc(columns, weights))


def d_prime_of(area: Array) -> Array:
    return np.sqrt(2) * ndtri(np.clip(area, 1e-7, 1 - 1e-7))


def equal_error_rate(columns: Columns, weights: Array) -> Array:
    """Where misses equal false alarms on the line between the two nearest thresholds; ``scores``, ``target`` (N,)."""
    positive, every = _ranked(columns["scores"], columns["target"].astype(np.float64), weights)
    ones, negatives = positive[:, -1:], every[:, -1:] - positive[:, -1:]
    zero = np.zeros((len(weights), 1))
    missed = np.hstack([zero + 1, 1 - positive / np.maximum(ones, 1e-12)])
    alarms = np.hstack([zero, (every - positive) / np.maximum(negatives, 1e-12)])
    gap = missed - alarms  # falls from 1 to -1
    after = (gap > 0).sum(1)
    rows = np.arange(len(weights))
    high, low = gap[rows, after - 1], gap[rows, after]
    part = high / np.maximum(high - low, 1e-12)
    return alarms[rows, after - 1] + part * (alarms[rows, after] - alarms[rows, after - 1])


def bleu(columns: Columns, weights: Array, order: int) -> Array:
    """Corpus BLEU-``order`` of the clips drawn; ``value`` (N, 10): rows of ``bleu.bleu_counts``."""
    length, reference, *grams = (weights @ columns["value"].astype(np.float64)).T
    penalty = np.minimum(1.0, np.exp(1 - reference / np.maximum(length, 1)))
    pairs = zip(grams[::2], grams[1::2], strict=True)
    product = np.prod([(matched + TINY) / (proposed + SMALL) for matched, proposed in pairs][:order], axis=0)
    return np.where(length > 0, penalty * product ** (1 / order), 0.0)


def meteor(columns: Columns, weights: Array) -> Array:
    """METEOR 1.5 of the clips drawn; ``value`` (N, 23): the counts of its jar, see ``meteor.meteor_of_counts``."""
    return meteor_of_counts(weights @ columns["value"].astype(np.float64))


STATISTICS: dict[str, Callable[[Columns, Array], Array]] = {
    "mean": mean,
    "ratio": ratio,
    "median": median,
    "balanced_accuracy": balanced_accuracy,
    "mAP": mean_average_precision,
    "AUC": roc_auc,
    "d_prime": d_prime,
    "EER": equal_error_rate,
    "meteor": meteor,
    **{f"bleu{order}": partial(bleu, order=order) for order in (1, 2, 3, 4)},
}
