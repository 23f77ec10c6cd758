"""Clean captions: unusable ones go by named rules, repetitions within a clip go, clips left without any go."""

from __future__ import annotations

from audiotext.curate.entry import Entry, Removal
from audiotext.text.clean import normalise, rejection

SPOKEN = ("transcript", "translation")
"""Styles whose text was said by a voice in the recording."""


def clean_captions(entries: list[Entry]) -> tuple[list[Entry], list[Removal]]:
    """The clips with usable captions, and what was removed: captions by rule, clips that have none left."""
    kept, removed = [], []
    for entry in entries:
        pairs, dropped = usable(list(zip(entry.captions, entry.styles, strict=True)))
        removed += [Removal(entry.id, entry.source, "captions", reason, text) for text, reason in dropped]
        if pairs:
            entry.set_captions(pairs)
            kept.append(entry)
        else:
            reasons = sorted({reason for _, reason in dropped})
            removed.append(Removal(entry.id, entry.source, "captions", f"no caption left ({', '.join(reasons)})"))
    return kept, removed


def usable(pairs: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(caption, style) pairs -> pairs to keep with their spaces folded, and (caption, reason) of the others.

    Captions that read the same after normalisation are repetitions; the first stays.
    """
    kept, dropped, seen = [], [], set()
    for text, style in pairs:
        reason = rejection(text, spoken=style in SPOKEN)
        if reason is None and normalise(text) in seen:
            reason = "repeated"
        if reason is None:
            seen.add(normalise(text))
            kept.append((" ".join(text.split()), style))
        else:
            dropped.append((str(text), reason))
    return kept, dropped
