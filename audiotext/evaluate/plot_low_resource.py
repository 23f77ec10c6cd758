"""The plot of low-resource curves: what a probe scores over how much of the training data it saw."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import FigureBase
from matplotlib.ticker import NullLocator

from audiotext.evaluate.findings import probe_metric, short
from audiotext.evaluate.plot_material import Material, colour
from audiotext.evaluate.probe_tables import low_resource, share_clips
from audiotext.evaluate.results import Result, models, part_of, share_of

MOST_PANELS = 4


def draw_low_resource(figure: FigureBase, material: Material) -> None:
    """A panel per probe and pooling, a line per model over per cent of the training clips (logarithmic), with the
    interval of every score as a band, or its deviation over seeds where items were not kept."""
    every = low_resource(material.results)
    found = list(every.items())[:MOST_PANELS]
    some = f"; {len(found)} of {len(every)} probes" if len(found) < len(every) else ""
    figure.suptitle(f"Probes trained on parts of their training data{some}")
    axes = figure.subplots(1, len(found), squeeze=False)[0]
    names = models(material.results)
    for axis, ((task, pooling), results) in zip(axes, found, strict=True):
        shares = sorted({s for r in results for name, s in map(share_of, r.scores) if name == pooling})
        places = [_per_cent(results, share) for share in shares]
        for result in results:
            _line(axis, result, pooling, dict(zip(shares, places, strict=True)), colour(result.model, names))
        guess = next((r.details[k] for r in results for k in ("majority", "chance") if k in r.details), None)
        if guess is not None:
            axis.axhline(100 * guess, color="black", lw=1, ls=":", label="guessing")
        axis.set_xscale("log")
        # of few clips two shares may be as many
        ticks = {p: _tick(results, s, p) for s, p in zip(shares, places, strict=True)}
        axis.set_xticks(list(ticks), list(ticks.values()), fontsize=8)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set(title=f"{short(task)}, {pooling}", xlabel="training clips (logarithmic)", ylim=(0, 100))
        axis.set_ylabel(f"{probe_metric(results[0])}, %")
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside right upper")


def _line(axis, result: Result, pooling: str, places: dict[float, float], tint: str) -> None:  # noqa: ANN001
    metric = probe_metric(result)
    found = [(place, score) for s, place in places.items() if (score := result.score(part_of(pooling, s), metric))]
    at = [place for place, _ in found]
    axis.plot(at, [100 * s.mean for _, s in found], color=tint, label=result.model, marker="o", ms=3)
    ends = [s.interval or (s.mean - (s.std or 0.0), s.mean + (s.std or 0.0)) for _, s in found]
    axis.fill_between(
        at, [100 * low for low, _ in ends], [100 * high for _, high in ends], color=tint, alpha=0.15, lw=0
    )


def _per_cent(results: Sequence[Result], share: float) -> float:
    """Of the training clips, as many as there were in truth: every class keeps two, be that more than its share."""
    clips, every = share_clips(results, share), share_clips(results, 100)
    return share if clips is None or not every else 100 * clips / every


def _tick(results: Sequence[Result], share: float, per_cent: float) -> str:
    clips = share_clips(results, share)
    return f"{_plain(per_cent)} %" if clips is None else f"{_plain(per_cent)} %\n({clips:.0f})"


def _plain(per_cent: float) -> str:
    return f"{per_cent:.0f}" if per_cent >= 10 else f"{per_cent:.1f}"
