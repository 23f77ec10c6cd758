"""The plot by domain: what is left between guessing and perfect on every task, as a radar or, of few tasks, as bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import FigureBase

from audiotext.evaluate.findings import probe_metric, short
from audiotext.evaluate.plain_tables import PLAIN
from audiotext.evaluate.plot_material import Material, colour
from audiotext.evaluate.probe_tables import POOLINGS, domains, probe_parts
from audiotext.evaluate.results import Result, models
from audiotext.evaluate.table import Score

LEAST_AXES = 3  # of a radar: with two it would be a line
MOST_MODELS = 8
MOST_PANELS = 4


@dataclass
class Axis:
    """One task: the score that guessing gets and that nothing can beat, and what every model scored."""

    label: str
    guess: float
    perfect: float
    scores: dict[str, Score] = field(default_factory=dict)

    def scaled(self, value: float) -> float:
        """0 for guessing, 100 for perfect."""
        return 100 * (value - self.guess) / (self.perfect - self.guess)


def axes_by_domain(results: Sequence[Result]) -> dict[str, list[Axis]]:
    """The axes of every domain: probes of the first pooling, zero-shot by the text side that all models have, and
    kinds of ``PLAIN`` that know what guessing scores. The scale of an axis does not depend on the models."""
    pooling = _part(results)
    found: dict[str, dict[str, Axis]] = {domain: {} for domain in domains(results)}
    for result in results:
        for label, keys, guess, perfect in _measured(result, pooling):
            score = result.score(*keys)
            if score is not None and result.details.get("domain") and guess != perfect:  # else there is one class only
                axis = found[result.details["domain"]].setdefault(label, Axis(label, guess, perfect))
                axis.scores[result.model] = score
    return {domain: list(axes.values()) for domain, axes in found.items() if axes}


def _part(results: Sequence[Result]) -> str:
    """The probe that is drawn: the first of those that the tables show."""
    return next(iter(probe_parts(results)), "")


def _measured(result: Result, pooling: str) -> list[tuple[str, tuple[str, ...], float, float]]:
    """Label, path of the score, and the scale of each axis that a result is on."""
    guess = result.details.get("majority", result.details.get("chance", 0.0))
    if result.kind == "probe":
        return [(short(result.task), (pooling, probe_metric(result)), guess, 1.0)]
    if result.kind == "zero_shot":
        return [(f"{short(result.task)} by prompts", ("lit", "accuracy"), guess, 1.0)]
    plain = PLAIN.get(result.kind)
    if plain is None or plain.guess is None:
        return []
    perfect = 0.0 if plain.best == "low" else 1.0
    name, several = f"{short(result.task)}, {plain.score}", len(result.scores) > 1
    return [
        (f"{name}, {part}" if several else name, (part, plain.score), plain.guess, perfect) for part in result.scores
    ]


def draw_domains(figure: FigureBase, material: Material) -> None:
    """A panel per domain: a radar of its tasks, lines are models; bars where a domain has fewer than three tasks."""
    found = dict(list(axes_by_domain(material.results).items())[:MOST_PANELS])
    every = models(material.results)
    names = [n for n in every if any(n in axis.scores for axes in found.values() for axis in axes)]
    shown = names[:MOST_MODELS]
    some = f"; {len(shown)} of {len(names)} models" if len(shown) < len(names) else ""
    pooling = f"{part} pooling: " if (part := _part(material.results)) in POOLINGS else part and f"{part}: "
    figure.suptitle(f"By domain, {pooling}0 is what guessing scores (or less), 100 is perfect{some}")
    handles = {}
    for place, (domain, axes) in enumerate(found.items(), 1):
        radar = len(axes) >= LEAST_AXES
        panel = figure.add_subplot(1, len(found), place, projection="polar" if radar else None)
        colours = {name: colour(name, every) for name in shown}
        (_radar if radar else _bars)(panel, axes, colours)
        panel.set_title(domain, pad=22 if radar else 6)
        handles |= dict(zip(*panel.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(handles.values(), handles.keys(), fontsize=8, loc="outside right upper")


def _radar(panel, axes: Sequence[Axis], colours: dict[str, str]) -> None:  # noqa: ANN001
    """Lines with a gap where a model was not measured; below guessing is drawn as 0."""
    angles = [2 * math.pi * i / len(axes) for i in range(len(axes))]
    for name, tint in colours.items():
        at = [max(0.0, a.scaled(a.scores[name].mean)) if name in a.scores else math.nan for a in axes]
        panel.plot([*angles, angles[0]], [*at, at[0]], color=tint, label=name, lw=1.4, marker="o", ms=3)
    size = 8 if len(axes) <= 8 else 6
    panel.set_theta_offset(math.pi / 2)
    panel.set_xticks(angles, [_broken(a.label) for a in axes], fontsize=size)
    for angle, label in zip(angles, panel.get_xticklabels(), strict=True):  # beside the circle, not on it
        across = math.sin(angle)
        label.set_horizontalalignment("center" if abs(across) < 0.1 else "right" if across > 0 else "left")
    panel.set(ylim=(0, 100))
    panel.set_yticks([25, 50, 75, 100], ["25", "50", "75", "100"], fontsize=6, color="#666666")


def _bars(panel, axes: Sequence[Axis], colours: dict[str, str]) -> None:  # noqa: ANN001
    """The deviation over seeds, or where a score has one its interval, as whiskers."""
    width = 0.8 / len(colours)
    for i, (name, tint) in enumerate(colours.items()):
        found = [(n, axis, axis.scores[name]) for n, axis in enumerate(axes) if name in axis.scores]
        at = [n + (i - (len(colours) - 1) / 2) * width for n, _, _ in found]
        heights = [axis.scaled(score.mean) for _, axis, score in found]
        ends = [sorted(map(axis.scaled, score.interval or _deviation(score))) for _, axis, score in found]
        sides = [[h - low for h, (low, _) in zip(heights, ends, strict=True)]]
        sides += [[high - h for h, (_, high) in zip(heights, ends, strict=True)]]
        panel.bar(at, heights, width, yerr=np.maximum(sides, 0.0), capsize=2, label=name,
                  color=tint)  # fmt: skip
    panel.axhline(0, color="black", lw=0.8)
    panel.set_xticks(range(len(axes)), [_broken(a.label) for a in axes], fontsize=8)
    panel.set(ylim=(min(0.0, panel.get_ylim()[0]), 100), xlim=(-0.6, len(axes) - 0.4))


def _deviation(score: Score) -> tuple[float, float]:
    spread = math.nan if score.std is None else score.std  # no whisker where nothing is known
    return score.mean - spread, score.mean + spread


def _broken(label: str) -> str:
    """Two lines at most, broken at the space nearest the middle."""
    spaces = [i for i, c in enumerate(label) if c == " "]
    if not spaces:
        return label
    at = min(spaces, key=lambda i: abs(i - len(label) / 2))
    return f"{label[:at]}\n{label[at + 1 :]}"
