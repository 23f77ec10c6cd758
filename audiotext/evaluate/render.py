"""Tables of a report for other readers: CSV for programs, LaTeX for papers, marks as a terminal shows them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from audiotext.evaluate.table import BEST, SECOND, Table

CSV_HEADER = ("table", "row", "column", "score", "std", "low", "high", "mark", "clips", "protocol")
_LATEX = {BEST: r"\textbf{{{}}}", SECOND: r"\underline{{{}}}"}
_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "→": r"$\rightarrow$",
    "±": r"$\pm$", "≥": r"$\geq$", "<": r"$<$", ">": r"$>$",
    "†": r"$^\dagger$",
}  # fmt: skip


def csv_text(tables: Sequence[Table]) -> str:
    """One line per number, unscaled, with deviation over seeds, bounds of the interval, mark (best, second), clips
    found of those expected, and protocol (none for an average over several)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for table in tables:
        for column in table.columns:
            marks = table.marks(column)
            for i, row in enumerate(table.rows):
                if (score := row.cells.get(column.key)) is not None:
                    low, high = score.interval or (None, None)
                    numbers = (f"{x:.6g}" if x is not None else "" for x in (score.mean, score.std, low, high))
                    clips = "{}/{}".format(*score.clips) if score.clips else ""
                    behind = (marks.get(i, ""), clips, score.protocol)
                    writer.writerow([table.title, row.label, column.title, *numbers, *behind])
    return out.getvalue()


def latex_text(tables: Sequence[Table]) -> str:
    """One table environment per table, for the package booktabs: best in bold, second best underlined."""
    parts = ["% \\usepackage{booktabs}"]
    for table in tables:
        caption = _escaped(" ".join([table.title + ".", *table.every_note()]))
        parts += [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}"]
        for piece, text in enumerate(table.grids({mark: f"\0{mark}\0{{}}" for mark in _LATEX})):
            header, *body = (" & ".join(map(_cell, row)) + r" \\" for row in text)
            parts += [r"\par\medskip"] if piece else []
            parts += [
                rf"\begin{{tabular}}{{l{'r' * (len(text[0]) - 1)}}}",
                r"\toprule", header, r"\midrule", *body, r"\bottomrule",
                r"\end{tabular}",
            ]  # fmt: skip
        parts += [r"\end{table}", ""]
    return "\n".join(parts)


def terminal_text(markdown: str) -> str:
    """Markdown with bold and italics as a terminal shows them, widths kept."""
    bold = re.sub(r"\*\*([^*|\n]+)\*\*", "  \033[1m\\1\033[0m  ", markdown)
    return re.sub(r"(?<!\*)\*([^*|\n]+)\*(?!\*)", " \033[4m\\1\033[0m ", bold)


def _cell(text: str) -> str:
    if not text.startswith("\0"):
        return _escaped(text)
    _, mark, shown = text.split("\0")
    return _LATEX[mark].format(_escaped(shown))


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(c, c) for c in text)
