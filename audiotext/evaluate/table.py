"""Tables of scores: one text that reads well both as Markdown and in a terminal, the best of each column in bold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """A mean and, where there were several seeds, their standard deviation."""

    mean: float
    std: float | None = None

    @classmethod
    def of(cls, tree: Any) -> Score:
        """From a result file: a number, or what ``protocol.spread`` wrote."""
        if isinstance(tree, dict):
            several = len(tree.get("values", ())) > 1
            return cls(float(tree["mean"]), float(tree["std"]) if several else None)
        return cls(float(tree))


def average(scores: Sequence[Score]) -> Score | None:
    """Mean of the means; no deviation, for seeds are not paired across tasks. None where there is nothing."""
    return Score(sum(s.mean for s in scores) / len(scores)) if scores else None


@dataclass(frozen=True)
class Column:
    """``scale`` multiplies what is shown; ``best`` is what to mark: "high", "low" or "" for nothing."""

    key: str
    title: str
    scale: float = 100.0
    digits: int = 1
    best: str = "high"

    def show(self, score: Score | None) -> str:
        if score is None:
            return "-"
        shown = f"{score.mean * self.scale:.{self.digits}f}"
        return shown if score.std is None else f"{shown} ± {score.std * self.scale:.{self.digits}f}"


@dataclass
class Row:
    """``ranked`` rows compete for the mark of the best; baselines and chance do not."""

    label: str
    cells: dict[str, Score | None]
    ranked: bool = True


@dataclass
class Table:
    """A titled table, with notes under it."""

    title: str
    columns: list[Column]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    corner: str = "model"

    def lines(self) -> list[str]:
        """Markdown lines, columns aligned."""
        if not self.rows:
            return []
        best = {column.key: self._best(column) for column in self.columns}
        text = [[self.corner, *(c.title for c in self.columns)]]
        for row in self.rows:
            cells = [row.label]
            for column in self.columns:
                score = row.cells.get(column.key)
                shown = column.show(score)
                cells.append(f"**{shown}**" if row.ranked and score and shown == best[column.key] else shown)
            text.append(cells)
        return [f"## {self.title}", "", *grid(text), *[line for note in self.notes for line in ("", note)], ""]

    def _best(self, column: Column) -> str | None:
        """How the best mean reads; equal readings share the mark. None where fewer than two rows compete."""
        found = [s for r in self.rows if r.ranked and (s := r.cells.get(column.key)) is not None]
        if len(found) < 2 or not column.best:
            return None
        pick = max if column.best == "high" else min
        return column.show(pick(found, key=lambda s: s.mean))


def grid(text: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows of cells, the first one the header -> Markdown lines; the first ``left`` columns are words, not numbers."""
    widths = [max(3, *(len(row[i]) for row in text)) for i in range(len(text[0]))]
    lines = []
    for row in text:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("| " + " | ".join(cells) + " |")
    rule = "| " + " | ".join("-" * w if i < left else "-" * (w - 1) + ":" for i, w in enumerate(widths)) + " |"
    return [lines[0], rule, *lines[1:]]
