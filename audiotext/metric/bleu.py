"""BLEU of captions: clipped n-gram precision with a brevity penalty.

Papineni et al., ACL 2002, in the corpus form the COCO caption tools use: counts are summed over all clips, and each
caption is held against the reference length closest to its own, the shorter one of a tie.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

Words = Sequence[str]
TINY, SMALL = 1e-15, 1e-9  # added to matched and to proposed n-grams


def ngrams(words: Words, n: int) -> Counter[tuple[str, ...]]:
    """How often each run of ``n`` words occurs."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def reference_length(length: int, choices: Iterable[int]) -> int:
    """The one of the lengths ``choices`` that is closest to ``length``, the shorter one of a tie."""
    return min((abs(choice - length), choice) for choice in choices)[1]


def bleu_counts(
    hypotheses: Sequence[Words], references: Sequence[Sequence[Words]], order: int = 4
) -> list[tuple[int, ...]]:
    """By clip: its length, the reference length, then matched and proposed n-grams for n = 1 .. ``order``."""
    rows = []
    for words, choices in zip(hypotheses, references, strict=True):
        row = [len(words), reference_length(len(words), map(len, choices))]
        for k in range(order):
            most: Counter[tuple[str, ...]] = Counter()
            for reference in choices:
                most |= ngrams(reference, k + 1)
            counts = ngrams(words, k + 1)
            row += [(counts & most).total(), counts.total()]
        rows.append(tuple(row))
    return rows


def bleu(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]], order: int = 4) -> list[float]:
    """Corpus BLEU-1 .. BLEU-``order`` in 0..1. ``references`` holds every reference of each clip.

    The geometric mean is not smoothed beyond ``TINY``: one order without a single match makes it and all higher orders
    almost zero.
    """
    rows = bleu_counts(hypotheses, references, order) or [(0,) * (2 + 2 * order)]
    length, wanted, *grams = (sum(column) for column in zip(*rows, strict=True))
    matched, proposed = grams[::2], grams[1::2]
    if length == 0:
        return [0.0] * order
    penalty = min(1.0, math.exp(1 - wanted / length))
    scores, product = [], 1.0
    for k in range(order):
        product *= (matched[k] + TINY) / (proposed[k] + SMALL)
        scores.append(penalty * product ** (1 / (k + 1)))
    return scores
