"""Scores of short answers to questions, as SQuAD defines them (Rajpurkar et al., EMNLP 2016)."""

from __future__ import annotations

from collections import Counter

ARTICLES = frozenset({"a", "an", "the"})


def answer_words(answer: str) -> list[str]:
    """Words of a normalised answer without English articles."""
    return [word for word in answer.split() if word not in ARTICLES]


def exact_match(answer: str, truth: str) -> float:
    """1 where both hold the same words in the same order, else 0."""
    return float(answer_words(answer) == answer_words(truth))


def token_f1(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall over words, counted with repetition."""
    mine, theirs = answer_words(answer), answer_words(truth)
    if not mine or not theirs:
        return float(mine == theirs)
    common = (Counter(mine) & Counter(theirs)).total()
    return 2 * common / (len(mine) + len(theirs))
