"""What a corpus holds: clips, hours, captions, words; in total and per domain, style, licence and source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from audiotext.curate.entry import Entry
from audiotext.text.clean import normalise

VIEWS = ("domain", "style", "licence", "source")
HEADER = ("clips", "hours", "captions", "distinct words", "distinct-1", "distinct-2", "words per caption")


def describe(entries: Iterable[Entry]) -> dict[str, Any]:
    """{"total": row, "domain": {name: row}, ...}; a row has the columns of HEADER.

    distinct-n is the number of different n-grams over their number (Li et al. 2016), n-grams within captions. A style's
    row counts the clips that have such a caption, and words of captions of that style only.
    """
    entries = list(entries)
    views: dict[str, dict[str, list[tuple[Entry, list[str]]]]] = {view: defaultdict(list) for view in VIEWS}
    for entry in entries:
        for view in ("domain", "licence", "source"):
            views[view][getattr(entry, view)].append((entry, entry.captions))
        for style in sorted(set(entry.styles)):
            chosen = [c for c, s in zip(entry.captions, entry.styles, strict=True) if s == style]
            views["style"][style].append((entry, chosen))
    rows = {view: {name: _row(members) for name, members in sorted(names.items())} for view, names in views.items()}
    return {"total": _row([(entry, entry.captions) for entry in entries])} | rows


def _row(members: list[tuple[Entry, list[str]]]) -> dict[str, float]:
    texts = [normalise(caption).split() for _, captions in members for caption in captions]
    words = [word for text in texts for word in text]
    pairs = [pair for text in texts for pair in zip(text, text[1:], strict=False)]
    values = (
        len(members),
        round(sum(entry.duration for entry, _ in members) / 3600, 3),
        len(texts),
        len(set(words)),
        round(len(set(words)) / max(1, len(words)), 4),
        round(len(set(pairs)) / max(1, len(pairs)), 4),
        round(len(words) / max(1, len(texts)), 2),
    )
    return dict(zip(HEADER, values, strict=True))


def table(rows: dict[str, dict[str, float]], first: str) -> str:
    """Rows as a Markdown table; ``first`` names the left column."""
    lines = [f"| {first} | " + " | ".join(HEADER) + " |", "|---|" + "---:|" * len(HEADER)]
    lines += [f"| {name} | " + " | ".join(f"{row[h]:,}" for h in HEADER) + " |" for name, row in rows.items()]
    return "\n".join(lines)


def report(subsets: dict[str, dict[str, Any]], views: bool = True) -> str:
    """Markdown: one line per subset, then with ``views`` every view of every subset."""
    parts = [table({name: tree["total"] for name, tree in subsets.items()}, "subset")]
    for name, tree in subsets.items() if views else ():
        parts.append(f"## {name}")
        parts += [table(tree[view], view) for view in VIEWS if tree[view]]
    return "\n\n".join(parts) + "\n"
