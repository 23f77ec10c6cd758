"""Beam search over a step function; with a beam of one it is greedy search."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from audiotext.types import Padded

Step = Callable[[Tensor, "Tensor | None"], Tensor]
"""(new ids (N, U), cache order (N,) or None) -> log-probabilities of the next token (N, V)."""


def beam_search(
    step: Step, start: Tensor, eos: int, max_tokens: int, beam: int, prompt: Padded | None, length_power: float
) -> list[list[int]]:
    """The best continuation of each row of ``start`` (B, 1) followed by its prompt; N = B * beam rows are stepped.

    An end token counts only where it ranks among the ``beam`` best candidates, and a clip is done once ``beam``
    hypotheses have ended (as fairseq's sequence generator does). Hypotheses rank by the sum of log-probabilities
    over length ** ``length_power``, the length counting eos. Prompts may differ in length: a row whose prompt is not
    over takes its next prompt token instead of choosing one, and its beams start to differ only afterwards.
    """
    batch, device = start.shape[0], start.device
    forced = torch.zeros(batch, 0, dtype=torch.int64, device=device) if prompt is None else prompt.data.to(device)
    prompt_lengths = [0] * batch if prompt is None else prompt.lengths.tolist()
    shared = min(prompt_lengths)
    ids = torch.cat([start, forced[:, :shared]], dim=1).repeat_interleave(beam, dim=0)
    order: Tensor | None = None
    scores = torch.full((batch, beam), -torch.inf, device=device)
    scores[:, 0] = 0.0
    live: list[list[list[int]]] = [[[] for _ in range(beam)] for _ in range(batch)]
    ended: list[list[tuple[float, list[int]]]] = [[] for _ in range(batch)]
    done = [False] * batch
    for time in range(shared, max(prompt_lengths) + max_tokens):
        logprobs = step(ids, order)
        width = min(2 * beam, beam * logprobs.shape[1])
        totals = (scores.unsqueeze(2) + logprobs.view(batch, beam, -1)).flatten(1)
        best, index = totals.topk(width, dim=1)
        vocab, best_list, index_list = logprobs.shape[1], best.tolist(), index.tolist()
        rows, tokens = [], []
        for b in range(batch):
            if time < prompt_lengths[b] or done[b]:
                token = int(forced[b, time]) if time < prompt_lengths[b] else eos
                rows += range(b * beam, (b + 1) * beam)
                tokens += [token] * beam
                continue
            length = time - prompt_lengths[b] + 1
            kept = _advance(best_list[b], index_list[b], vocab, eos, beam, live[b], ended[b], length**length_power)
            live[b] = [live[b][k] + [token] for _, k, token in kept]
            scores[b] = torch.tensor([score for score, _, _ in kept], device=device)
            rows += [b * beam + k for _, k, _ in kept]
            tokens += [token for _, _, token in kept]
            if length == max_tokens:
                ended[b] += [(score / length**length_power, live[b][i]) for i, (score, _, _) in enumerate(kept)]
            done[b] = length == max_tokens or len(ended[b]) >= beam
        if all(done):
            break
        order = None if beam == 1 else torch.tensor(rows, device=device)
        ids = torch.tensor(tokens, device=device).unsqueeze(1)
    # max keeps the first of equals, so ties do not depend on anything but the order of search.
    return [max(hypotheses, key=lambda h: h[0])[1] for hypotheses in ended]


def _advance(
    totals: list[float], index: list[int], vocab: int, eos: int, beam: int,
    live: list[list[int]], ended: list[tuple[float, list[int]]], norm: float,
) -> list[tuple[float, int, int]]:  # fmt: skip
    """Split a clip's candidates, best first: ended ones are added to ``ended``, ``beam`` others go on.

    Returns (score, beam it came from, token) of those that go on.
    """
    kept = []
    for rank, (total, flat) in enumerate(zip(totals, index, strict=True)):
        source, token = divmod(flat, vocab)
        if token == eos:
            if rank < beam and total > float("-inf"):
                ended.append((total / norm, live[source]))
        elif len(kept) < beam:
            kept.append((total, source, token))
    while len(kept) < beam:  # fewer tokens than beams: dead rows keep the shape
        kept.append((float("-inf"), 0, eos))
    return kept
