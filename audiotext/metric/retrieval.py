"""Retrieval scores in both directions from one similarity matrix and one relevance matrix.

Any number of texts may be relevant to a clip and any number of clips to a text. Ties are broken pessimistically:
among equal similarities the irrelevant come first, so a constant similarity scores no better than it should.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CUTOFFS = (1, 5, 10)
DEPTH = 10


def retrieval_metrics(similarity: Tensor, relevance: Tensor, chunk: int = 512) -> dict[str, dict[str, float]]:
    """Scores by direction: ``audio_to_text`` and ``text_to_audio``.

    similarity: (N clips, M texts). relevance: (N, M) booleans. ``chunk`` queries are ranked at a time, which bounds
    the memory beyond the two matrices. Raises ValueError for shapes that differ or values that are not numbers.
    """
    if similarity.shape != relevance.shape or similarity.ndim != 2:
        raise ValueError(f"similarity {tuple(similarity.shape)} and relevance {tuple(relevance.shape)} must be (N, M)")
    if similarity.isnan().any():
        raise ValueError("similarity: holds values that are not numbers")
    relevance = relevance.bool()
    return {
        "audio_to_text": direction_metrics(similarity, relevance, chunk),
        "text_to_audio": direction_metrics(similarity.T, relevance.T, chunk),
    }


def direction_metrics(similarity: Tensor, relevance: Tensor, chunk: int = 512) -> dict[str, float]:
    """Scores of the rows as queries over the columns.

    R@k: part of queries with any relevant item among the first k. mAP@10: mean over queries of
    sum over relevant ranks r <= 10 of precision at r, divided by min(number relevant, 10) (Manning et al. 2008).
    median_rank: of the first relevant item, from 1. chance_R@k: expected R@k of a random order. ``queries`` counts
    those that have a relevant item; the others have no score. Raises ValueError where there is none.
    """
    first, precision = [], []
    for start in range(0, len(similarity), chunk):
        rows, hits = similarity[start : start + chunk], relevance[start : start + chunk]
        kept = hits.any(1)
        if kept.any():
            order = _ranked(rows[kept], hits[kept])
            first.append(order.int().argmax(1) + 1)
            precision.append(_average_precision(order, hits[kept].sum(1)))
    if not first:
        raise ValueError("retrieval: no query has a relevant item")
    rank, precision = torch.cat(first), torch.cat(precision)
    scores = {f"R@{k}": (rank <= k).double().mean().item() for k in CUTOFFS}
    scores[f"mAP@{DEPTH}"] = precision.mean().item()
    scores["median_rank"] = rank.double().quantile(0.5).item()
    scores |= {f"chance_R@{k}": chance_recall(relevance, k) for k in CUTOFFS}
    return scores | {"queries": len(rank), "items": similarity.shape[1]}


def chance_recall(relevance: Tensor, k: int) -> float:
    """Expected R@k of a uniformly random order: 1 - C(M - R, k) / C(M, k), mean over queries with R > 0."""
    items = relevance.shape[1]
    counts = relevance.sum(1)
    counts = counts[counts > 0].tolist()
    total = math.comb(items, min(k, items))
    return sum(1 - math.comb(items - r, min(k, items)) / total for r in counts) / len(counts)


def _ranked(similarity: Tensor, relevance: Tensor) -> Tensor:
    """Relevance (Q, M) in the order of falling similarity, irrelevant first among equals."""
    last = relevance.byte().argsort(dim=1, stable=True)
    order = similarity.gather(1, last).argsort(dim=1, descending=True, stable=True)
    return relevance.gather(1, last).gather(1, order)


def _average_precision(ranked: Tensor, relevant: Tensor) -> Tensor:
    """AP at DEPTH of each row: (Q, M) relevance in ranked order, (Q,) numbers of relevant items -> (Q,)."""
    top = ranked[:, :DEPTH].double()
    at_rank = top.cumsum(1) / torch.arange(1, top.shape[1] + 1, device=top.device)
    return (at_rank * top).sum(1) / relevant.clamp(max=DEPTH)
