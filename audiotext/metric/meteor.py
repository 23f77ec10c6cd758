"""METEOR of captions: without Java in part, ``METEOR (exact+stem)``, and of what METEOR's own jar counts.

The formula and the parameters are those of METEOR 1.5 for English (Denkowski and Lavie, WMT 2014), but words match only
when they are equal (weight 1) or share a Porter stem (weight 0.6). There is no WordNet, no paraphrase table and no list
of function words (all words weigh the same), and the set's score is the mean over clips, each with its best reference.
The numbers are compared with each other only, never with METEOR's, which may be lower or higher.

The jar (``coco_jars.py``) aligns by all of it; ``meteor_of_counts`` turns its counts, summed over a set, into METEOR.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiotext.metric.stem import stem

Words = Sequence[str]
ALPHA, BETA, GAMMA = 0.85, 0.2, 0.6
EXACT, STEM = 1.0, 0.6
STAGES = np.array([EXACT, STEM, 0.8, 0.6])  # and synonym, paraphrase
DELTA = 0.75  # weight of content words; function words have the rest
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


def meteor_counts(written: np.ndarray) -> np.ndarray:
    """What the jar writes of N captions (N, 23) -> what may be summed (N, 23): a caption equal to its reference has no
    chunk, as in COCO's version of the jar, so that nothing is taken off for it.

    Columns: words of caption and reference; function words of both; by stage (exact, stem, synonym, paraphrase) matched
    content words of both and matched function words of both; chunks; words within matches of both.
    """
    counts = written.copy()
    matched = counts[:, 4:20].reshape(-1, 4, 2, 2).sum((1, 2))
    counts[(matched == counts[:, 0:2]).all(1) & (counts[:, 20] == 1), 20] = 0
    return counts


def meteor_of_counts(counts: np.ndarray) -> np.ndarray:
    """METEOR 1.5 for English of sums of ``meteor_counts`` (B, 23) -> (B,), 0..1; 0 where nothing matches.

    COCO's score of a set is that of the sums, not the mean over clips.
    """
    share = np.array([DELTA, 1 - DELTA])
    matched = np.einsum("bskw,s,k->bw", counts[:, 4:20].reshape(-1, 4, 2, 2), STAGES, share)
    lengths = DELTA * (counts[:, 0:2] - counts[:, 2:4]) + (1 - DELTA) * counts[:, 2:4]
    precision, recall = (matched / np.maximum(lengths, 1e-9)).T
    bottom = ALPHA * precision + (1 - ALPHA) * recall
    mean = precision * recall / np.where(bottom > 0, bottom, 1.0)
    chunks = counts[:, 20] / np.maximum(counts[:, 21:23].sum(1) / 2, 1e-9)
    return mean * (1 - GAMMA * chunks**BETA)
