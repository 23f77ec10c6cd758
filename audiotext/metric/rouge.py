"""ROUGE-L of captions: the longest common subsequence as an F measure (Lin, ACL 2004 workshop)."""

from __future__ import annotations

from collections.abc import Sequence

Words = Sequence[str]
BETA = 1.2  # the COCO caption tools' weight of recall over precision


def longest_common_subsequence(first: Words, second: Words) -> int:
    """Length of the longest sequence of words that both hold in order, gaps allowed."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for j, other in enumerate(second, 1):
            diagonal, row[j] = row[j], diagonal + 1 if word == other else max(row[j], row[j - 1])
    return row[-1]


def rouge_l(hypothesis: Words, references: Sequence[Words]) -> float:
    """One caption in 0..1. As in COCO, precision and recall are each the best over the references."""
    common = [(longest_common_subsequence(hypothesis, r), len(r)) for r in references]
    precision = max((c / len(hypothesis) for c, _ in common), default=0.0) if hypothesis else 0.0
    recall = max((c / size for c, size in common if size), default=0.0)
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)
