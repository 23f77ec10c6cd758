"""PSDS1 of sound event detection, by the reference implementation `psds_eval` (Bilen et al., ICASSP 2020).

Scenario 1 of DCASE 2021 task 4, which wants events in their place: detection and ground truth must overlap by 0.7,
confusions between classes cost nothing of their own, unequal classes do, at most 100 false positives an hour.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from audiotext.config import ConfigError

Array = np.ndarray
EVENT = np.dtype([("clip", np.int32), ("label", np.int32), ("onset", np.float64), ("offset", np.float64)])
"""Number of the clip and of the class, onset and offset in seconds of the clip."""
OVERLAP = {"dtc_threshold": 0.7, "gtc_threshold": 0.7}
MOST = 100.0  # false positives an hour
PENALTIES = {"PSDS1": 1.0, "PSDS1_alpha_st_0": 0.0}
THRESHOLDS = 50
INSTALL = "pip install 'audiotext[psds]'"


def psds1(detected: Iterable[Array], truth: Array, seconds: Array) -> dict[str, float]:
    """PSDS1, 0..1, and the same with no penalty for classes that differ, as reported for sets of hundreds of classes.

    detected: one operating point per decision threshold (``events_of``), arrays of EVENT. truth: the true events, none
    of a class overlapping another of it (``united``). seconds: length of every clip (N,). Classes without a true event
    have no score and are left out. Raises ConfigError where psds_eval is not there; nothing else stands in for it.
    Raises ValueError where there is no true event.
    """
    if not len(truth):
        raise ValueError("PSDS1: no true event to find")
    pandas, package = packages()
    known = np.unique(truth["label"])
    points = [events[np.isin(events["label"], known)] for events in detected]
    # Confusions cost nothing, so classes never meet: each has a file of its own for every clip in which it occurs. The
    # reference then joins a few events with a few, and not all of a clip with all. The longer total is made good below.
    pairs = np.unique(np.concatenate([_pair(events) for events in (truth, *points)]))
    lengths = np.asarray(seconds, np.float64)[pairs >> 32]

    def table(events: Array) -> Any:
        names = np.char.mod("%d", _pair(events)), events["onset"], events["offset"], _names(events["label"])
        return pandas.DataFrame(dict(zip(("filename", "onset", "offset", "event_label"), names, strict=True)))

    files = pandas.DataFrame({"filename": np.char.mod("%d", pairs), "duration": lengths})
    most = MOST * float(np.sum(seconds)) / float(lengths.sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own use of pandas is old
        scorer = _scorer(package)(ground_truth=table(truth), metadata=files, class_names=list(_names(known)), **OVERLAP)
        for events in points:
            scorer.add_operating_point(table(events))
        found = {name: scorer.psds(alpha_ct=0.0, alpha_st=a, max_efpr=most).value for name, a in PENALTIES.items()}
    return {name: float(value) for name, value in found.items()}


def events_of(scores: Array, seconds_per_frame: float, threshold: float, clip: int = 0) -> Array:
    """Events of one clip, of EVENT: runs of frames whose score (T, C) exceeds ``threshold``."""
    labels = np.flatnonzero(scores.max(0, initial=-np.inf) > threshold)
    active = np.zeros((len(labels), len(scores) + 2), np.int8)
    active[:, 1:-1] = scores[:, labels].T > threshold
    change = np.diff(active, axis=1)
    (row, first), (_, last) = np.nonzero(change == 1), np.nonzero(change == -1)
    events = np.empty(len(row), EVENT)
    events["clip"], events["label"] = clip, labels[row]
    events["onset"], events["offset"] = first * seconds_per_frame, last * seconds_per_frame
    return events


def united(events: Array) -> Array:
    """The same with overlapping events of one clip and class made one; sorted by clip, class and onset."""
    kept: list[tuple] = []
    for event in events[np.lexsort((events["onset"], events["label"], events["clip"]))].tolist():
        clip, label, onset, offset = event
        if kept and kept[-1][:2] == (clip, label) and onset < kept[-1][3]:
            kept[-1] = (*kept[-1][:3], max(offset, kept[-1][3]))
        else:
            kept.append(event)
    return np.array(kept, EVENT)


def thresholds(count: int = THRESHOLDS) -> list[float]:
    """Decision thresholds spread evenly over probabilities, the ends left out: (2 i + 1) / (2 n)."""
    return [(2 * i + 1) / (2 * count) for i in range(count)]


def packages() -> tuple[ModuleType, ModuleType]:
    """pandas and psds_eval. Raises ConfigError saying how to install them."""
    try:
        import pandas
        import psds_eval
    except ImportError as error:
        raise ConfigError(f"PSDS1 needs the package psds_eval ({error}): {INSTALL}") from None
    return pandas, psds_eval


def _pair(events: Array) -> Array:
    """One number for clip and class."""
    return (events["clip"].astype(np.int64) << 32) + events["label"]


def _names(labels: Array) -> Array:
    return np.char.mod("%06d", labels)


def _scorer(package: ModuleType) -> type:
    """The reference's class with three helpers of its last release (0.5.3) written anew, to the same values: two call
    what pandas 3 and numpy 2.4 no longer have; one is slow for hundreds of classes, and gives no number for one."""

    class Scorer(package.PSDSEval):
        @staticmethod
        def step_curve(x: Array, xp: Array, yp: Array) -> Array:
            """The highest yp reached up to each x; 0 before the first."""
            order = np.argsort(xp, kind="stable")
            highest = np.maximum.accumulate(np.append(0.0, yp[order]))
            return highest[np.searchsorted(xp[order], x, side="right")]

        @staticmethod
        def _auc(x: Array, y: Array, max_x: float | None = None, decreasing_y: bool = False) -> float:
            """Area under steps up to max_x, the last step going on."""
            inside = x < max_x
            return float(np.sum(np.diff(np.append(x[inside], max_x)) * y[inside]))

        def _confusion_matrix_and_rates(self, tp: Any, ct: Any) -> tuple[Array, Array, Array, Array]:
            """Nothing (the reference does not read it), part of each class' events that was found, its false positives
            in an hour, and no confusions, which have a weight of 0."""
            names = sorted({*self.class_names} - {package.psds.WORLD})
            alarms = ct[ct.event_label_gt == package.psds.WORLD].event_label_det
            found, false = (x.value_counts().reindex(names, fill_value=0) for x in (tp.event_label_gt, alarms))
            hits = found.to_numpy(float) / self._get_dataset_counts()[names].to_numpy(float)
            hours = self._get_dataset_duration()[1] / self.nseconds
            nothing = np.zeros((len(names), len(names)))
            return nothing, hits, false.to_numpy(float) / hours, nothing

    return Scorer
