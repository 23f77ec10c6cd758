"""Clean captions: what storage did is mended, unusable ones go by named rules, repetitions within a clip go, and clips
that have none left."""

from __future__ import annotations

from audiotext.curate.entry import Entry, Removal
from audiotext.curate.tally import Tally
from audiotext.text.clean import normalise, opening, rejection
from audiotext.text.repair import repair

SPOKEN = ("transcript", "translation")
"""Styles whose text was said by a voice in the recording."""


def clean_captions(entries: list[Entry], tally: Tally | None = None) -> tuple[list[Entry], list[Removal]]:
    """The clips with usable captions, and what was removed: captions by rule, clips that have none left.

    What was mended, and stock phrases at the beginning, which stay, are counted in ``tally``.
    """
    kept, removed = [], []
    for entry in entries:
        pairs, dropped = usable(_mended(entry, tally))
        removed += [Removal(entry.id, entry.source, "captions", reason, text) for text, reason in dropped]
        if pairs:
            entry.set_captions(pairs)
            kept.append(entry)
            _count_openings(entry, tally)
        else:
            reasons = sorted({reason for _, reason in dropped})
            removed.append(Removal(entry.id, entry.source, "captions", f"no caption left ({', '.join(reasons)})"))
    return kept, removed


def _mended(entry: Entry, tally: Tally | None) -> list[tuple[str, str]]:
    pairs = []
    for text, style in zip(entry.captions, entry.styles, strict=True):
        mended, rules = repair(text) if isinstance(text, str) else (text, [])
        for rule in rules if tally is not None else ():
            tally.add("captions mended", rule, entry.source, entry.id, f"{text!r} became {mended!r}")
        pairs.append((mended, style))
    return pairs


def _count_openings(entry: Entry, tally: Tally | None) -> None:
    for text in entry.captions if tally is not None else ():
        if (kind := opening(text)) is not None:
            tally.add("captions kept", f"opening: {kind}", entry.source, entry.id, text)


def usable(pairs: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(caption, style) pairs -> pairs to keep with their spaces folded, and (caption, reason) of the others.

    Captions that read the same after normalisation are repetitions; the first stays.
    """
    kept, dropped, seen = [], [], set()
    for text, style in pairs:
        reason = rejection(text, spoken=style in SPOKEN)
        normal = normalise(text) if reason is None else ""
        if reason is None and normal in seen:
            reason = "repeated"
        if reason is None:
            seen.add(normal)
            kept.append((" ".join(text.split()), style))
        else:
            dropped.append((str(text), reason))
    return kept, dropped
