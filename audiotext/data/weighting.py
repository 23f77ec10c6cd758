"""Mixing corpora: how often clips of each source are drawn."""

from __future__ import annotations

import logging

import numpy as np

from audiotext.config import ConfigError, nearest
from audiotext.data.dataset import AudioTextDataset

LOG = logging.getLogger(__name__)


def source_weights(dataset: AudioTextDataset, weights: dict[str, float]) -> np.ndarray | None:
    """The weight of every example (N,) from weights by source, 1 where none is given; None where all weigh alike.

    Logs the share of an epoch's draws that each source gets. Raises ConfigError for a source that no clip has, for a
    weight below zero, and where nothing is left to draw.
    """
    if not weights:
        return None
    names, codes = _codes(dataset)
    for name, weight in weights.items():
        if name not in names:
            known = nearest(name, names)
            raise ConfigError(f"data.source_weights: no clip of {dataset.index.path} is of {name!r}, {known}")
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"data.source_weights.{name}: must be a number of zero or more, got {weight}")
    factors = np.array([weights.get(name, 1.0) for name in names], dtype=np.float32)
    counts = np.bincount(codes, minlength=len(names))
    expected = counts * factors
    if not expected.sum():
        raise ConfigError("data.source_weights: every source has weight 0, so there is nothing to train on")
    for name, factor, count, share in zip(names, factors, counts, expected / expected.sum(), strict=True):
        of_all = count / len(codes)
        LOG.info("source %s: weight %g, %.1f %% of an epoch's clips (%.1f %% of the manifest)", name, factor,
                 100 * share, 100 * of_all)  # fmt: skip
    return factors[codes]


def _codes(dataset: AudioTextDataset) -> tuple[list[str], np.ndarray]:
    """(names of the sources, the number of each example's)."""
    sources = dataset.index.sources
    return sources.names, sources.codes[dataset.clips]
