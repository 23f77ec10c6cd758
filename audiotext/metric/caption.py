"""Every score of a set of captions at once: BLEU, ROUGE-L, METEOR (exact+stem), CIDEr-D and diversity.

Texts come already normalised (lower case, punctuation to spaces: ``text.clean.normalise``) and are split at spaces.
The COCO tools use the Penn Treebank tokeniser instead and drop punctuation, which gives the same words but where it
parts contractions ("ca n't"), leaves hyphenated words and numbers whole ("high-pitched", "3.5") and keeps brackets and
symbols ("-lrb-", "%"). On the same tokens the numbers are theirs (tests/golden/coco_captions.json), but for METEOR:
``caption_tools`` has it, and others that are not ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiotext.metric.bleu import bleu, bleu_counts, ngrams
from audiotext.metric.cider import cider_d
from audiotext.metric.meteor import meteor
from audiotext.metric.rouge import rouge_l

CAPTION_METRICS = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "meteor_exact_stem", "cider_d")


def distinct(captions: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams over all n-grams of the set, 0..1 (Li et al., NAACL 2016)."""
    grams = [gram for words in captions for gram in ngrams(words, n).elements()]
    return len(set(grams)) / len(grams) if grams else 0.0


def caption_items(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """What each of N clips gives to ``caption_scores``: ``bleu`` (N, 10), see ``bleu_counts``; the others (N,)."""
    said = [text.split() for text in hypotheses]
    truth = [[r for text in texts if (r := text.split())] for texts in references]
    pairs = list(zip(said, truth, strict=True))
    values = {
        "rouge_l": [rouge_l(h, r) for h, r in pairs],
        "meteor_exact_stem": [meteor(h, r) for h, r in pairs],
        "cider_d": cider_d(said, truth),
        "words": [len(h) for h in said],
    }
    return {"bleu": np.array(bleu_counts(said, truth))} | {k: np.array(v, np.float32) for k, v in values.items()}


def caption_scores(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Scores of one caption per clip against every reference of that clip.

    All are in 0..1 but ``cider_d`` (0..10), ``words`` (mean length) and ``vocabulary`` (distinct words). An empty
    caption scores 0 and is counted in ``empty``. Raises ValueError where a clip has no reference or counts differ.
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} captions for {len(references)} clips: one caption per clip is needed")
    if not hypotheses:
        raise ValueError("no captions to score")
    said = [text.split() for text in hypotheses]
    truth = [[r for text in texts if (r := text.split())] for texts in references]
    lacking = [i for i, choices in enumerate(truth) if not choices]
    if lacking:
        where = f"the first at position {lacking[0]}"
        raise ValueError(f"{len(lacking)} of {len(truth)} clips have no reference caption, {where}")
    count = len(said)
    scores = {f"bleu{i + 1}": value for i, value in enumerate(bleu(said, truth))}
    scores["rouge_l"] = sum(rouge_l(h, r) for h, r in zip(said, truth, strict=True)) / count
    scores["meteor_exact_stem"] = sum(meteor(h, r) for h, r in zip(said, truth, strict=True)) / count
    scores["cider_d"] = sum(cider_d(said, truth)) / count
    scores |= {"distinct1": distinct(said, 1), "distinct2": distinct(said, 2)}
    scores["vocabulary"] = float(len({word for words in said for word in words}))
    scores["words"] = sum(map(len, said)) / count
    scores["empty"] = float(sum(not words for words in said))
    return scores
