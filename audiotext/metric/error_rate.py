"""Word and character error rate: the fewest edits that turn what was recognised into what was said, by its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Edits:
    """The edits of one best alignment, and how many tokens were said. Of alignments with equally few edits their sum
    is one, their kinds may differ; here substitutions are taken before deletions, and those before insertions."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    length: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    def __add__(self, other: Edits) -> Edits:
        return Edits(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


def edits(reference: Sequence, hypothesis: Sequence) -> Edits:
    """Of two sequences of tokens: words, or the characters of two strings (Levenshtein 1966; Wagner & Fischer 1974)."""
    table = distances(reference, hypothesis)
    row, column = len(reference), len(hypothesis)
    counts = {"substitutions": 0, "deletions": 0, "insertions": 0}
    while row or column:
        here = table[row, column]
        differ = row and column and reference[row - 1] != hypothesis[column - 1]
        if row and column and here == table[row - 1, column - 1] + differ:
            counts["substitutions"] += differ
            row, column = row - 1, column - 1
        elif row and here == table[row - 1, column] + 1:
            counts["deletions"] += 1
            row -= 1
        else:
            counts["insertions"] += 1
            column -= 1
    return Edits(**counts, length=len(reference))


def distances(reference: Sequence, hypothesis: Sequence) -> Array:
    """Fewest edits between every two beginnings: (R + 1, H + 1) integers for R and H tokens.

    A row comes from the one above at once: its insertions are a running minimum of what the other edits give.
    """
    number = {token: i for i, token in enumerate(dict.fromkeys([*reference, *hypothesis]))}
    said = np.array([number[token] for token in hypothesis], dtype=np.int64)
    steps = np.arange(len(hypothesis) + 1)
    table = np.empty((len(reference) + 1, len(steps)), dtype=np.int64)
    table[0] = steps
    for row, token in enumerate(reference, 1):
        above = table[row - 1]
        best = above + 1
        best[1:] = np.minimum(best[1:], above[:-1] + (said != number[token]))
        table[row] = np.minimum.accumulate(best - steps) + steps
    return table


def word_edits(reference: str, hypothesis: str) -> Edits:
    """Of the words of two texts, which spaces part."""
    return edits(reference.split(), hypothesis.split())


def character_edits(reference: str, hypothesis: str) -> Edits:
    """Of the characters of two texts; spaces count, a run of them as one."""
    return edits(" ".join(reference.split()), " ".join(hypothesis.split()))


def error_rate(found: Sequence[Edits]) -> float:
    """Edits of all items by tokens of all items: 0 for what is right, 1 for silence, above 1 where much is added.

    Raises ValueError where no token was said.
    """
    total = sum(found, Edits())
    if not total.length:
        raise ValueError(f"error rate: none of {len(found)} references holds a token")
    return total.errors / total.length
