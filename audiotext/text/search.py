"""Searches over a step function: beam search, greedy with a beam of one, and nucleus sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audiotext.config import ConfigError
from audiotext.types import Padded

Step = Callable[[Tensor, "Tensor | None"], Tensor]
"""(new ids (N, U), cache order (N,) or None) -> log-probabilities of the next token (N, V)."""


@dataclass(frozen=True)
class Nucleus:
    """Sampling from the fewest likeliest tokens that hold ``top_p`` of the probability (A. Holtzman et al., "The
    curious case of neural text degeneration", 2020, section 3.1)."""

    top_p: float = 0.9
    temperature: float = 1.0
    """Log-probabilities are divided by it before the tokens are picked; below 1 likely ones become likelier."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.top_p <= 1 and self.temperature > 0 and self.seed >= 0):
            raise ConfigError(f"top_p must be in (0, 1], temperature above 0 and seed 0 or more, got {self!r}")

    def __str__(self) -> str:
        return f"{self.top_p:g}" + (f" at temperature {self.temperature:g}" if self.temperature != 1 else "")

    def draws(self, numbers: Sequence[int], tokens: int) -> Tensor:
        """Uniform numbers in [0, 1): (N, tokens).

        Each of ``numbers`` has a stream of its own: what is said of a clip hangs on it and the seed, not on the batch.
        """
        rows = [np.random.default_rng([self.seed, number]).random(tokens, np.float32) for number in numbers]
        return torch.from_numpy(np.stack(rows))

    def choose(self, logprobs: Tensor, draws: Tensor) -> Tensor:
        """One token for each row of ``logprobs`` (N, V) by its uniform number in ``draws`` (N,): (N,)."""
        chances = (logprobs.float() / self.temperature).softmax(-1)
        chances, tokens = chances.sort(dim=-1, descending=True, stable=True)
        held = chances.cumsum(-1)
        last = (held - chances < self.top_p).sum(-1, keepdim=True) - 1
        aim = draws.to(held.device)[:, None] * held.gather(1, last)
        place = (held <= aim).sum(-1, keepdim=True).minimum(last)  # rounding may put the aim at the very end
        return tokens.gather(1, place)[:, 0]


def nucleus_search(
    step: Step, start: Tensor, eos: int, max_tokens: int, nucleus: Nucleus, numbers: Sequence[int],
    prompt: Padded | None,
) -> list[list[int]]:  # fmt: skip
    """A continuation of each row of ``start`` (B, 1) and its prompt, drawn token by token from the row's own stream."""
    forced, prompt_lengths = _prompts(start, prompt)
    shared = min(prompt_lengths)
    ids = torch.cat([start, forced[:, :shared]], dim=1)
    draws = nucleus.draws(numbers, max_tokens)
    texts: list[list[int]] = [[] for _ in prompt_lengths]
    done = [False] * len(texts)
    for time in range(shared, max(prompt_lengths) + max_tokens):
        places = [min(max(time - length, 0), max_tokens - 1) for length in prompt_lengths]
        tokens = nucleus.choose(step(ids, None), draws[range(len(texts)), places]).tolist()
        for b, length in enumerate(prompt_lengths):
            if time < length or done[b]:
                tokens[b] = int(forced[b, time]) if time < length else eos
                continue
            if tokens[b] != eos:
                texts[b].append(tokens[b])
            done[b] = tokens[b] == eos or len(texts[b]) == max_tokens
        if all(done):
            break
        ids = torch.tensor(tokens, device=start.device).unsqueeze(1)
    return texts


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
    forced, prompt_lengths = _prompts(start, prompt)
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


def _prompts(start: Tensor, prompt: Padded | None) -> tuple[Tensor, list[int]]:
    """Ids of the prompts (B, U), none without, and how many of them each row has."""
    if prompt is None:
        return start[:, :0], [0] * len(start)
    return prompt.data.to(start.device), prompt.lengths.tolist()


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
