"""CIDEr-D of captions: agreement in n-grams weighted by how much they tell (Vedantam et al., CVPR 2015).

Each caption is a tf-idf vector of its n-grams for n = 1..4; the document frequency of an n-gram is the number of clips
with it in any reference of the set being scored. A caption's counts are clipped to the reference's, a difference in
length is punished by a Gaussian, and the mean over n and references is multiplied by ten, as in the COCO caption tools.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from audiotext.metric.bleu import Words, ngrams

ORDER, SIGMA, SCALE = 4, 6.0, 10.0


def cider_d(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """Score of each caption, 0..10. A set of one clip scores 0: its n-grams tell nothing apart."""
    seen: Counter[tuple[str, ...]] = Counter()
    for choices in references:
        seen.update({gram for words in choices for n in range(ORDER) for gram in ngrams(words, n + 1)})
    log_clips = math.log(len(references)) if references else 0.0

    def vectors(words: Words) -> tuple[list[dict[tuple[str, ...], float]], list[float]]:
        weighted = [
            {gram: count * (log_clips - math.log(max(seen[gram], 1))) for gram, count in ngrams(words, n + 1).items()}
            for n in range(ORDER)
        ]
        return weighted, [math.sqrt(sum(v * v for v in vector.values())) for vector in weighted]

    scores = []
    for words, choices in zip(hypotheses, references, strict=True):
        mine, my_norms = vectors(words)
        total = 0.0
        for reference in choices:
            theirs, their_norms = vectors(reference)
            closeness = math.exp(-((len(words) - len(reference)) ** 2) / (2 * SIGMA**2))
            for n in range(ORDER):
                if my_norms[n] and their_norms[n]:
                    common = sum(min(v, theirs[n][g]) * theirs[n][g] for g, v in mine[n].items() if g in theirs[n])
                    total += closeness * common / (my_norms[n] * their_norms[n])
        scores.append(SCALE * total / (ORDER * len(choices)) if choices else 0.0)
    return scores
