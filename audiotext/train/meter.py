"""Averages of what objectives report, between two log lines or over a validation set."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from audiotext.types import Batch


class Meter:
    """Means weighted by clips: the loss, its part in each domain, and every scalar of the reports."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self.seconds = 0.0
        """Seconds of audio seen."""

    def add(self, name: str, value: float, weight: float = 1.0) -> None:
        entry = self._sums.setdefault(name, [0.0, 0.0])
        entry[0] += value * weight
        entry[1] += weight

    def add_batch(self, batch: Batch, loss: Tensor | float, report: dict[str, Tensor]) -> None:
        """Take in an objective's answer to one batch: "loss", "loss/<domain>" and the scalars by their names."""
        self.seconds += float(batch.durations.sum())
        self.add("loss", float(loss), len(batch))
        for name, value in report.items():
            if isinstance(value, Tensor) and value.ndim == 0:
                self.add(name, float(value), len(batch))
        if "loss_per_clip" in report:
            per_clip = report["loss_per_clip"].detach().to("cpu", torch.float64)
            for domain in sorted(set(batch.domains)):
                rows = [i for i, d in enumerate(batch.domains) if d == domain]
                self.add(f"loss/{domain}", float(per_clip[rows].mean()), len(rows))

    def means(self) -> dict[str, float]:
        return {name: total / weight for name, (total, weight) in self._sums.items() if weight}

    def clear(self) -> None:
        self._sums.clear()
        self.seconds = 0.0

    def state_dict(self) -> dict:
        return {"sums": {name: list(entry) for name, entry in self._sums.items()}, "seconds": self.seconds}

    def load_state_dict(self, state: dict) -> None:
        self._sums = {name: list(entry) for name, entry in state["sums"].items()}
        self.seconds = state["seconds"]


def merged(states: Iterable[dict]) -> Meter:
    """One meter of what several, by their ``state_dict``, took in."""
    whole = Meter()
    for state in states:
        whole.seconds += state["seconds"]
        for name, (total, weight) in state["sums"].items():
            entry = whole._sums.setdefault(name, [0.0, 0.0])
            entry[0] += total
            entry[1] += weight
    return whole
