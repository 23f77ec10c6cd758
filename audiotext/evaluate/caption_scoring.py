"""What sets of captions score, and what each clip scored; and how many references the clips have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from audiotext.evaluate.items import Items, Sample
from audiotext.evaluate.protocol import over_seeds
from audiotext.metric.caption import CAPTION_METRICS, caption_items, caption_scores
from audiotext.metric.caption_tools import tool_items, tool_statistic
from audiotext.metric.weighted import STATISTICS

Texts = Sequence[str]


def score_sets(
    said: Mapping[str, Mapping[str, Sequence[Texts]]], references: Sequence[Texts], clips: Items, tools: Texts = ()
) -> tuple[dict[str, dict], dict[str, Sample]]:
    """Scores and what each clip gave to them, of captions by their author and method, a set of them a seed.

    Scores are a tree (author, method, score), samples have paths in it. ``tools`` names scores of
    ``metric.caption_tools``. Raises ToolError where one of them fails.
    """
    every = [texts for methods in said.values() for runs in methods.values() for texts in runs]
    extra = iter(tool_items(tools, every, references))
    scores: dict[str, dict] = {}
    items: dict[str, Sample] = {}
    for whose, methods in said.items():
        scores[whose] = {}
        for method, runs in methods.items():
            by_tool = [next(extra) for _ in runs]
            each = [caption_items(texts, references) | mine for texts, mine in zip(runs, by_tool, strict=True)]
            scores[whose][method] = over_seeds(
                [caption_scores(texts, references) | _scores(mine) for texts, mine in zip(runs, by_tool, strict=True)]
            )
            items |= _samples(f"{whose}/{method}", clips, each, list(by_tool[0]))
    return scores, items


def _scores(by_tool: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Of the set, from the values of its clips."""
    ones = {name: np.ones((1, len(values))) for name, values in by_tool.items()}
    return {n: float(STATISTICS[tool_statistic(n)]({"value": v}, ones[n])[0]) for n, v in by_tool.items()}


def _samples(
    prefix: str, clips: Items, each: Sequence[Mapping[str, np.ndarray]], by_tool: Sequence[str]
) -> dict[str, Sample]:
    """What each clip scored, by ``prefix/score``, for the scores that are made of clips; ``each``: by seed."""
    names = {name: name if name.startswith("bleu") else "mean" for name in (*CAPTION_METRICS, "words")}
    names |= {name: tool_statistic(name) for name in by_tool}
    shared = {name: "bleu" if name.startswith("bleu") else name for name in names}
    return {
        f"{prefix}/{name}": Sample(clips, [{"value": found[shared[name]]} for found in each], statistic)
        for name, statistic in names.items()
    }


def reference_counts(texts: Mapping[str, Texts]) -> dict[str, int]:
    """Number of references -> how many clips have that many."""
    counts = Counter(map(len, texts.values()))
    return {str(number): counts[number] for number in sorted(counts)}


def fewer_references(counts: Mapping[str, int]) -> str | None:
    """A sentence on clips with fewer references than the commonest number (the larger one of a tie); None for none."""
    clips = {int(number): count for number, count in counts.items() if number != "0"}
    usual = max(clips, key=lambda number: (clips[number], number), default=0)
    fewer = sum(count for number, count in clips.items() if number < usual)
    none = counts.get("0", 0)
    told = [f"{fewer} of {sum(clips.values())} clips have fewer references than the usual {usual}"] if fewer else []
    told += [f"{none} without any not scored"] if none else []
    return ", ".join(told) or None
