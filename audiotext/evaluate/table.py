"""Tables of scores, with the best and the second best of each column marked where the difference is not noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audiotext.evaluate.bootstrap import LEVEL, difference, interval

NOISE = 1 - LEVEL
BEST, SECOND = "best", "second"
PARTIAL = "†"  # behind a score of fewer clips than its protocol names
WIDE = 160  # characters: a table with longer lines is turned round, or cut in pieces


@dataclass(frozen=True)
class Score:
    """A mean and, where there were several seeds, their standard deviation.

    resampled: the score on every resampled set (B,), where what the items scored was kept. clips: how many were found
    and how many expected. protocol: the id under which it may be compared.
    """

    mean: float
    std: float | None = None
    resampled: np.ndarray | None = field(default=None, compare=False, repr=False)
    clips: tuple[int, int] | None = field(default=None, compare=False)
    protocol: str = field(default="", compare=False)

    @classmethod
    def of(
        cls,
        tree: Any,
        resampled: np.ndarray | None = None,
        clips: tuple[int, int] | None = None,
        protocol: str = "",
    ) -> Score:
        """From a result file: a number, or what ``protocol.spread`` wrote."""
        if isinstance(tree, dict):
            several = len(tree.get("values", ())) > 1
            return cls(float(tree["mean"]), float(tree["std"]) if several else None, resampled, clips, protocol)
        return cls(float(tree), None, resampled, clips, protocol)

    @property
    def partial(self) -> str:
        """``found/expected`` where the two differ, else nothing."""
        return "" if self.clips is None or self.clips[0] == self.clips[1] else "{}/{}".format(*self.clips)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the score lies with the confidence of ``bootstrap.LEVEL``."""
        return None if self.resampled is None else interval(self.resampled)


def average(scores: Sequence[Score]) -> Score | None:
    """Mean of the means, over the clips of all; no deviation, for seeds are not paired across tasks. None where there
    is nothing."""
    if not scores:
        return None
    each = [s.resampled for s in scores]
    resampled = None if any(r is None for r in each) else np.mean(each, axis=0)
    counts = [s.clips for s in scores]
    clips = None if None in counts else (sum(c[0] for c in counts), sum(c[1] for c in counts))
    return Score(sum(s.mean for s in scores) / len(scores), None, resampled, clips)


def within_noise(first: Score, second: Score) -> bool | None:
    """Whether two scores may be equal, by a paired bootstrap; None where the items are not known."""
    if first.resampled is None or second.resampled is None:
        return None
    return difference(first.resampled, second.resampled) >= NOISE


@dataclass(frozen=True)
class Column:
    """``scale`` multiplies what is shown; ``best`` is what to mark: "high", "low" or "" for nothing."""

    key: str
    title: str
    scale: float = 100.0
    digits: int = 1
    best: str = "high"

    def show(self, score: Score | None, intervals: bool = False) -> str:
        """The mean with the deviation over seeds, or with ``intervals`` with its interval, where there is one."""
        if score is None:
            return "-"
        shown = self.number(score.mean)
        if intervals and score.interval:
            shown += f" [{', '.join(map(self.number, score.interval))}]"
        elif score.std is not None:
            shown += f" ± {self.number(score.std)}"
        return shown + (PARTIAL if score.partial else "")

    def number(self, value: float) -> str:
        return f"{value * self.scale:.{self.digits}f}"


@dataclass
class Row:
    """``ranked`` rows compete for the marks; baselines and chance do not."""

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
    intervals: bool = False
    """Show intervals rather than the deviation over seeds."""

    def lines(self) -> list[str]:
        """Markdown lines, columns aligned: the best in bold, the second best in italics."""
        if not self.rows:
            return []
        found = [f"## {self.title}", ""]
        for text in self.grids({BEST: "**{}**", SECOND: "*{}*"}):
            found += [*grid(text), ""]
        return found + [line for note in self.every_note() for line in (note, "")]

    def every_note(self) -> list[str]:
        """The notes, and which scores lack clips."""
        lacking: dict[str, list[str]] = {}
        for column in self.columns:
            cells = {row.label: row.cells.get(column.key) for row in self.rows}
            counted = {label: score.partial for label, score in cells.items() if score is not None and score.clips}
            for partial in dict.fromkeys(filter(None, counted.values())):
                labels = [label for label, found in counted.items() if found == partial]
                who = "every row" if len(labels) == len(counted) else ", ".join(labels)
                lacking.setdefault(f"{partial} ({who})", []).append(column.title)
        if not lacking:
            return self.notes
        parts = [f"{text} under {' and '.join(titles)}" for text, titles in lacking.items()]
        return [*self.notes, f"{PARTIAL} Clips found of those expected: {'; '.join(parts)}."]

    def grids(self, marks: dict[str, str]) -> list[list[list[str]]]:
        """Header and rows as they read. Where lines would be longer than ``WIDE``: turned round, if that is narrow
        enough, or else several pieces of about as many columns each. ``marks`` as ``text`` takes them."""
        header = [self.corner, *(c.title for c in self.columns)]
        plain, shown = ([header, *self.text(found)] for found in ({}, marks))
        if _width(plain) <= WIDE:
            return [shown]
        if _width(_turned(plain)) <= WIDE:
            return [_turned(shown)]
        for count in range(2, len(header)):
            places = [[0, *piece.tolist()] for piece in np.array_split(np.arange(1, len(header)), count)]
            if all(_width(_columns(plain, own)) <= WIDE for own in places):
                return [_columns(shown, own) for own in places]
        return [shown]  # one column too wide

    def text(self, marks: dict[str, str]) -> list[list[str]]:
        """Rows of cells as they read, label first; a marked one is put into the template of its mark."""
        marked = {column.key: self.marks(column) for column in self.columns}
        rows = []
        for i, row in enumerate(self.rows):
            cells = [row.label]
            for column in self.columns:
                mark = marked[column.key].get(i)
                shown = column.show(row.cells.get(column.key), self.intervals)
                cells.append(marks[mark].format(shown) if mark in marks else shown)
            rows.append(cells)
        return rows

    def marks(self, column: Column) -> dict[int, str]:
        """Row number -> BEST or SECOND. Rows that read as the leader or differ from it by noise share its mark; where
        every row does so, and where fewer than two compete, none is marked."""
        found = [(s, i) for i, r in enumerate(self.rows) if r.ranked and (s := r.cells.get(column.key)) is not None]
        if len(found) < 2 or not column.best:
            return {}
        found.sort(key=lambda pair: pair[0].mean, reverse=column.best == "high")
        marks: dict[int, str] = {}
        for mark in (BEST, SECOND):
            left = [(s, i) for s, i in found if i not in marks]
            if not left:
                break
            leader = left[0][0]
            alike = {i for s, i in left if column.number(s.mean) == column.number(leader.mean)}
            noise = {i for s, i in left if i not in alike and within_noise(leader, s)}
            if mark == BEST and len(alike | noise) == len(found):
                return {}
            marks |= dict.fromkeys(alike | noise, mark)
        return marks


def grid(text: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows of cells, the first one the header -> Markdown lines; the first ``left`` columns are words, not numbers."""
    widths = _widths(text)
    lines = []
    for row in text:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("| " + " | ".join(cells) + " |")
    rule = "| " + " | ".join("-" * w if i < left else "-" * (w - 1) + ":" for i, w in enumerate(widths)) + " |"
    return [lines[0], rule, *lines[1:]]


def _widths(text: Sequence[Sequence[str]]) -> list[int]:
    return [max(3, *(len(row[i]) for row in text)) for i in range(len(text[0]))]


def _width(text: Sequence[Sequence[str]]) -> int:
    """Characters of a line of ``grid``."""
    return sum(_widths(text)) + 3 * len(text[0]) + 1


def _turned(text: Sequence[Sequence[str]]) -> list[list[str]]:
    """Columns as rows; the corner, which said what the rows are, is left empty."""
    return [list(column) for column in zip(*[["", *text[0][1:]], *text[1:]], strict=True)]


def _columns(text: Sequence[Sequence[str]], places: Sequence[int]) -> list[list[str]]:
    return [[row[i] for i in places] for row in text]
