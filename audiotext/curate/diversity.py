"""How much captions repeat each other, measured on a sample of bounded size.

All three measures grow or fall with the size of the sample: compare those of samples of one size only.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from audiotext.metric.bleu import SMALL, TINY, Words, ngrams, reference_length
from audiotext.text.clean import normalise

SAMPLE = 500
"""Captions of a sample. Two draws of this size from the mini corpus differ by 0.02 in self-BLEU."""


@dataclass(frozen=True)
class Diversity:
    """captions: how many were sampled. self_bleu: 0..1, low where they differ. compression: times that the sample gets
    smaller, low where they differ. ngrams: 0..4, high where they differ."""

    captions: int
    self_bleu: float
    compression: float
    ngrams: float


def diversity(captions: Sequence[str]) -> Diversity:
    """Measures of the captions, normalised first. Of one caption, self-BLEU is 0."""
    texts = [words for caption in captions if (words := normalise(caption).split())]
    return Diversity(len(texts), self_bleu(texts), compression_ratio(texts), ngram_diversity(texts))


def self_bleu(texts: Sequence[Words], order: int = 4) -> float:
    """BLEU of every text held against all others (Zhu et al., Texygen, SIGIR 2018), in 0..1.

    In the corpus form of metric.bleu, whose score it gives, in linear time: how often an n-gram may be matched is its
    highest count in another text, so the two highest of all texts tell.
    """
    if len(texts) < 2:
        return 0.0
    logs = 0.0
    for n in range(1, order + 1):
        counts = [ngrams(text, n) for text in texts]
        first: Counter = Counter()
        second: Counter = Counter()
        for count in counts:
            for gram, times in count.items():
                if times > first[gram]:
                    first[gram], second[gram] = times, first[gram]
                elif times > second[gram]:
                    second[gram] = times
        # a text that holds the highest count is matched up to the second, which is as high where two texts share it
        matched = sum(
            min(times, second[gram] if times == first[gram] else first[gram])
            for count in counts
            for gram, times in count.items()
        )
        proposed = sum(count.total() for count in counts)
        logs += math.log((matched + TINY) / (proposed + SMALL))
    length = sum(map(len, texts))
    return min(1.0, math.exp(1 - _closest_lengths(texts) / length)) * math.exp(logs / order)


def _closest_lengths(texts: Sequence[Words]) -> int:
    """Sum over texts of the length, among the others', that is closest to their own, the shorter one of a tie."""
    lengths = Counter(map(len, texts))
    total = 0
    for length, times in lengths.items():
        others = lengths.keys() if times > 1 else lengths.keys() - {length}
        total += times * reference_length(length, others)
    return total


def compression_ratio(texts: Sequence[Words]) -> float:
    """Bytes of the texts, a line each, over those of their deflated form; Shaib et al., "Standardizing the measurement
    of text diversity" (arXiv 2403.00553), found it to tell most of what dearer measures tell."""
    data = "\n".join(" ".join(words) for words in texts).encode()
    return len(data) / len(zlib.compress(data, 9)) if data else 0.0


def ngram_diversity(texts: Sequence[Words], order: int = 4) -> float:
    """Sum over n = 1 .. ``order`` of different n-grams over n-grams, within texts (Padmakumar and He, arXiv 2309.05196;
    also in Shaib et al.)."""
    total = 0.0
    for n in range(1, order + 1):
        counts: Counter = Counter()
        for words in texts:
            counts.update(ngrams(words, n))
        total += len(counts) / counts.total() if counts else 0.0
    return total
