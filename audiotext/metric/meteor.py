"""METEOR of captions without Java, in part: ``METEOR (exact+stem)``.

The formula and the parameters are those of METEOR 1.5 for English (Denkowski and Lavie, WMT 2014), but words match only
when they are equal (weight 1) or share a Porter stem (weight 0.6). There is no WordNet, no paraphrase table and no list
of function words (all words weigh the same), so the numbers are lower than METEOR's and are compared with each other
only, never with published ones. The set's score is the mean over clips, each with its best reference.
"""

from __future__ import annotations

from collections.abc import Sequence

from audiotext.metric.stem import stem

Words = Sequence[str]
ALPHA, BETA, GAMMA = 0.85, 0.2, 0.6
EXACT, STEM = 1.0, 0.6
BEAM = 40


def meteor(hypothesis: Words, references: Sequence[Words]) -> float:
    """One caption against its references, 0..1; the best reference counts."""
    return max((_against(hypothesis, reference) for reference in references), default=0.0)


def _against(hypothesis: Words, reference: Words) -> float:
    if not hypothesis or not reference:
        return 0.0
    matched, weight, chunks = align(hypothesis, reference)
    if not matched:
        return 0.0
    precision, recall = weight / len(hypothesis), weight / len(reference)
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    whole = chunks == 1 and matched == len(hypothesis) == len(reference)
    return mean * (1 - (0.0 if whole else GAMMA * (chunks / matched) ** BETA))


def align(hypothesis: Words, reference: Words) -> tuple[int, float, int]:
    """Pair words one to one: (pairs, sum of their weights, chunks).

    A chunk is a run of pairs that is contiguous and in the same order on both sides. Among alignments the one with
    most pairs wins, then most weight, then fewest chunks, then the least movement; found by a beam over positions.
    """
    stems = [stem(w) for w in reference]
    states = [(0, 0.0, 0, 0, frozenset(), -2)]  # pairs, weight, -chunks, -movement, used, reference index before
    for i, word in enumerate(hypothesis):
        options = [(j, EXACT) for j, other in enumerate(reference) if other == word]
        options += [(j, STEM) for j, s in enumerate(stems) if s == stem(word) and reference[j] != word]
        grown = {}
        for pairs, weight, chunks, movement, used, before in states:
            candidates = [(pairs, weight, chunks, movement, used, -2)]
            for j, value in options:
                if j not in used:
                    new_chunk = 0 if j == before + 1 else 1
                    moved = movement - abs(i - j)
                    candidates.append((pairs + 1, weight + value, chunks - new_chunk, moved, used | {j}, j))
            for state in candidates:
                key = state[4:]
                if key not in grown or state[:4] > grown[key][:4]:
                    grown[key] = state
        states = sorted(grown.values(), key=lambda s: (s[:4], sorted(s[4]), s[5]), reverse=True)[:BEAM]
    pairs, weight, chunks = states[0][:3]
    return pairs, weight, -chunks
