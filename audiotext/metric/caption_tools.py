"""Caption metrics that are other people's programs: METEOR, SPICE, SPIDEr, FENSE.

Each stands behind one interface and is computed by that program or not at all: nothing of ours stands in for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from audiotext.metric import coco_jars, fense
from audiotext.metric.cider import cider_d

LOG = logging.getLogger(__name__)
Texts = Sequence[str]


class ToolError(ValueError):
    """A tool that was asked for is not there or failed; the message says what to do."""


@dataclass(frozen=True)
class Tool:
    """One metric. score: N captions and their references -> a value a clip, (N,) or (N, K), of which ``statistic`` of
    ``weighted.STATISTICS`` makes the score of a set. missing: what the tool lacks here, with the remedy. versions: of
    what it is made of. protocol: a sentence on how the score is taken.
    """

    title: str
    score: Callable[[Texts, Sequence[Texts]], np.ndarray]
    missing: Callable[[], list[str]]
    versions: Callable[[], dict[str, str]]
    protocol: str
    statistic: str = "mean"


METEOR = Tool(
    "METEOR", coco_jars.meteor, coco_jars.meteor_missing, coco_jars.versions,
    "METEOR is version 1.5 for English by its jar in pycocoevalcap, of counts summed over the set.", "meteor",
)  # fmt: skip
SPICE = Tool(
    "SPICE", coco_jars.spice, coco_jars.spice_missing, coco_jars.versions,
    "SPICE is version 1.0 by its jar in pycocoevalcap, the mean over clips.",
)  # fmt: skip
FENSE = Tool("FENSE", fense.fense, fense.missing, fense.versions, fense.PROTOCOL)
TOOLS = {"meteor": METEOR, "spice": SPICE, "fense": FENSE}
SPIDER = "spider"
SPIDER_PROTOCOL = "SPIDEr is the mean of SPICE and CIDEr-D."
TITLES = {"meteor": "METEOR", "spice": "SPICE", SPIDER: "SPIDEr", "fense": "FENSE"}


def run_by(names: Sequence[str]) -> list[str]:
    """The tools that are run for scores of these names, each once: SPIDEr is made of SPICE."""
    wanted = {"spice" if name == SPIDER else name for name in names}
    return [name for name in TOOLS if name in wanted]


def require(names: Sequence[str]) -> None:
    """Try every tool on one caption. Raises ToolError that names all that is missing, and how to get it."""
    lacking = []
    for name in run_by(names):
        tool = TOOLS[name]
        lacking += [f"{tool.title} needs {what}" for what in tool.missing()]
    if lacking:
        raise ToolError("; ".join(lacking) + f". Or leave it out of the tools of the task: {', '.join(names)}")
    for name in run_by(names):
        _score(TOOLS[name], ["a dog barks"], [["a dog is barking"]])


def tool_versions(names: Sequence[str]) -> dict[str, str]:
    return {what: version for name in run_by(names) for what, version in TOOLS[name].versions().items()}


def tool_protocol(names: Sequence[str]) -> str:
    """How the scores of these names are taken, in sentences."""
    told = [TOOLS[name].protocol for name in run_by(names)]
    return " ".join(told + [SPIDER_PROTOCOL] * (SPIDER in names))


def tool_statistic(name: str) -> str:
    """By which of ``weighted.STATISTICS`` the values of clips become the score of a set."""
    return TOOLS[name].statistic if name in TOOLS else "mean"


def tool_items(names: Sequence[str], sets: Sequence[Texts], references: Sequence[Texts]) -> list[dict[str, np.ndarray]]:
    """For each set of captions of the same N clips: score -> its value of every clip, (N,) or (N, K) float32.

    All sets go through a tool at once, since most of them take long to start. Raises ToolError where one fails.
    """
    found: list[dict[str, np.ndarray]] = [{} for _ in sets]
    said, truth = [text for texts in sets for text in texts], list(references) * len(sets)
    for name in run_by(names):
        LOG.info("%s: scoring %d captions", TOOLS[name].title, len(said))
        values = _score(TOOLS[name], said, truth)
        for one, part in zip(found, np.split(values, len(sets)), strict=True):
            one[name] = part
    if SPIDER in names:
        words = [[text.split() for text in texts] for texts in references]
        for one, texts in zip(found, sets, strict=True):
            agreement = np.array(cider_d([text.split() for text in texts], words), np.float32)
            one[SPIDER] = (one["spice"] + agreement) / 2
    return found


def _score(tool: Tool, candidates: Texts, references: Sequence[Texts]) -> np.ndarray:
    try:
        values = np.asarray(tool.score(candidates, references))
    except (RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{tool.title} failed: {error}") from error
    if len(values) != len(candidates) or not np.isfinite(values).all():
        raise ToolError(f"{tool.title} failed: {len(candidates)} captions gave {values.shape} values, or not a number")
    return values
