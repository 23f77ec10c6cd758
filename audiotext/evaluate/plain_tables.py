"""Tables of the tasks with one score that counts: a row per model, a column per task and part of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audiotext.evaluate.findings import short
from audiotext.evaluate.results import Result, models
from audiotext.evaluate.table import Column, Row, Table


@dataclass(frozen=True)
class Plain:
    """How a kind of task is shown: ``score`` is its name below each part of the scores, ``best`` is high or low.

    guess: what guessing scores; with it the task is an axis of the plot by domain, whose other end is 1, or 0 where low
    is good.
    """

    title: str
    score: str
    best: str
    note: str
    guess: float | None = None


PLAIN = {
    "detection": Plain(
        "Sound event detection", "PSDS1", "high", "PSDS1 has no interval: marks go by the mean over seeds alone.", 0.0
    ),
    "verification": Plain("Verification", "EER", "low", "Equal error rate, low is good; guessing gives 50.", 0.5),
    "transcription": Plain(
        "Transcription",
        "WER",
        "low",
        "Word error rate of CTC on frozen frames, low is good; saying nothing gives 100.",
        1.0,
    ),
}


def plain_tables(results: Sequence[Result]) -> list[Table]:
    """One table for each kind of ``PLAIN``; without rows where nothing of that kind was measured."""
    return [_table([r for r in results if r.kind == kind], plain) for kind, plain in PLAIN.items()]


def _table(found: Sequence[Result], plain: Plain) -> Table:
    keys = sorted({(r.task, part) for r in found for part in r.scores})
    parts = {task: len({p for t, p in keys if t == task}) for task, _ in keys}
    columns = [Column(f"{t} {p}", f"{short(t)}, {p}" if parts[t] > 1 else short(t), best=plain.best) for t, p in keys]
    rows = []
    for name in models(found):
        mine = {r.task: r for r in found if r.model == name}
        cells = {f"{t} {p}": mine[t].score(p, plain.score) for t, p in keys if t in mine}
        rows.append(Row(name, cells))
    return Table(plain.title, columns, rows, [plain.note])
