"""Plots of a report, and one page of all; here learning curves, probes, retrieval and the map of held-out clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from audiotext.atomic import replacing
from audiotext.evaluate.findings import probe_scores, short
from audiotext.evaluate.plot_domain import axes_by_domain, draw_domains
from audiotext.evaluate.plot_low_resource import draw_low_resource
from audiotext.evaluate.plot_material import DOMAINS, Material, colour
from audiotext.evaluate.probe_tables import POOLINGS, low_resource, probe_parts
from audiotext.evaluate.report import SPACES, WAYS
from audiotext.evaluate.results import ReportError, Result, models
from audiotext.evaluate.table import Score

POINTS = 30
MOST_PANELS = 4
MOST_LABELS = 16  # of tasks in all panels of the probes, side by side


def read_curves(exp: Path) -> dict[str, list[dict[str, Any]]]:
    """metrics.jsonl of every run below ``exp``. A last line cut short is left out; another is a ReportError."""
    curves = {}
    for path in sorted(exp.glob("*/metrics.jsonl")):
        rows, lines = [], path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                if number < len(lines):
                    raise ReportError(f"{path}:{number}: not a JSON object; is this a run's metrics.jsonl?") from None
        if rows:
            curves[path.parent.name] = rows
    return curves


def draw_all(material: Material, folder: Path) -> list[Path]:
    """Write every plot there is something for, and ``report.png`` with all of them, into ``folder``."""
    parts: list[tuple[str, float, Callable[[FigureBase, Material], None], bool]] = [
        ("learning_curves", 3.2, draw_curves, bool(material.curves)),
        ("probes", 3.6, draw_probes, bool(probe_parts(material.results))),
        ("domains", 4.2, draw_domains, bool(axes_by_domain(material.results))),
        ("low_resource", 3.6, draw_low_resource, bool(low_resource(material.results))),
        ("retrieval", 3.6, draw_retrieval, any(r.kind == "retrieval" for r in material.results)),
        ("embeddings", 3.6, draw_maps, bool(material.maps)),
    ]
    parts = [part for part in parts if part[3]]
    if not parts:
        return []
    written = []
    for name, height, draw, _ in parts:
        figure = Figure(figsize=(12, height), layout="constrained")
        draw(figure, material)
        written.append(_save(figure, folder / f"{name}.png", material.synthetic))
    heights = [part[1] for part in parts]
    page = Figure(figsize=(12, sum(heights) + 0.4), layout="constrained")
    panels = np.atleast_1d(page.subfigures(len(parts), 1, height_ratios=heights))
    for panel, (_, _, draw, _) in zip(panels, parts, strict=True):
        draw(panel, material)
    return [*written, _save(page, folder / "report.png", material.synthetic)]


def draw_curves(figure: FigureBase, material: Material) -> None:
    """Training and validation loss of each run, and validation retrieval where a run has it."""
    recalls = {run: rows for run, rows in material.curves.items() if any(f"{w}/R@10" in r for r in rows for w in WAYS)}
    axes = np.atleast_1d(figure.subplots(1, len(material.curves) + bool(recalls)))
    figure.suptitle("Learning curves")
    for axis, (run, rows) in zip(axes, material.curves.items(), strict=False):
        for kind, style in (("train", {"alpha": 0.6, "lw": 1}), ("valid", {"marker": "o", "ms": 3, "lw": 1.5})):
            points = [(r["step"], r["loss"]) for r in rows if r.get("kind") == kind and r.get("loss") is not None]
            if points:
                axis.plot(*zip(*points, strict=True), label=kind, **style)
        axis.set(title=run, xlabel="step", ylabel="loss")
        axis.legend(fontsize=8)
    if recalls:
        for run, rows in recalls.items():
            for way, arrow in WAYS.items():
                points = [(r["step"], 100 * r[f"{way}/R@10"]) for r in rows if r.get(f"{way}/R@10") is not None]
                style = {"ls": "-" if way == "text_to_audio" else "--", "color": colour(run, list(material.curves))}
                axes[-1].plot(*zip(*points, strict=True), label=f"{run} {arrow}", marker="o", ms=3, **style)
        axes[-1].set(title="retrieval on validation clips", xlabel="step", ylabel="R@10, %", ylim=(0, None))
        axes[-1].legend(fontsize=8)


def draw_probes(figure: FigureBase, material: Material) -> None:
    """Accuracy by probe and model with the seeds' deviation, a panel per pooling; dots mark the majority class."""
    poolings = probe_parts(material.results)[:MOST_PANELS]
    axes = np.atleast_1d(figure.subplots(1, len(poolings), sharey=True))
    figure.suptitle("Linear probes on frozen encoders")
    probes = [r for r in material.results if r.kind == "probe"]
    names, tasks = models(probes), sorted({r.task for r in probes})
    width = 0.8 / len(names)
    few = len(tasks) * len(poolings) <= MOST_LABELS
    for axis, pooling in zip(axes, poolings, strict=True):
        for i, name in enumerate(names):
            scores = probe_scores(probes, name, pooling)
            at = [tasks.index(t) + (i - (len(names) - 1) / 2) * width for t in scores]
            errors = [100 * (s.std or 0) for s in scores.values()]
            heights = [100 * s.mean for s in scores.values()]
            whiskers = {"yerr": errors, "capsize": 2} if few else {"yerr": errors, "error_kw": {"lw": 0.5}}
            axis.bar(at, heights, width, label=name, color=colour(name, names), **whiskers)
        guess = {tasks.index(r.task): 100 * r.details["majority"] for r in probes if "majority" in r.details}
        left, right = ([i + side for i in guess] for side in (-0.45, 0.45))
        axis.hlines(list(guess.values()), left, right, color="black", lw=1, ls=":", label="majority class")
        if few:
            axis.set_xticks(range(len(tasks)), [short(t).replace(" ", "\n") for t in tasks], fontsize=8)
        else:  # too many to stand beside each other
            axis.set_xticks(range(len(tasks)), [short(t) for t in tasks], fontsize=7, rotation=90)
        title = f"{pooling} pooling" if pooling in POOLINGS else pooling
        axis.set(title=title, ylabel="accuracy or mAP, %", ylim=(0, 100))
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside right upper")


def draw_retrieval(figure: FigureBase, material: Material) -> None:
    """R@k over k by model and text side, one panel per direction; from ranks where results carry them."""
    found = [r for r in material.results if r.kind == "retrieval"]
    names = models(found)
    figure.suptitle("Retrieval of held-out clips")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (way, arrow) in zip(axes, WAYS.items(), strict=True):
        for result in found:
            for space in (s for s in SPACES if s in result.scores):
                k, recall = recall_curve(result, space, way)
                style = {"ls": "-" if space == "direct" else "--", "color": colour(result.model, names)}
                style |= {"marker": "o", "ms": 4} if len(k) < 5 else {}
                axis.plot(k, recall, label=f"{result.model}, {SPACES[space]}", **style)
        chance = next(iter(found[0].scores.values()))[way]
        ks = (1, 5, 10)
        axis.plot(ks, [100 * Score.of(chance[f"chance_R@{k}"]).mean for k in ks], "k:", label="chance")
        title = "clips by text" if way == "text_to_audio" else "texts by clip"
        axis.set(title=f"{arrow}: {title}", xlabel="k", ylabel="R@k, %")
    axes[0].set_ylim(0, None)  # once both panels are drawn, for they share it
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside right upper")


def recall_curve(result: Result, space: str, way: str, longest: int = 50) -> tuple[list[int], list[float]]:
    """k and R@k in percent: k = 1 .. ``longest`` from ``details.ranks[space][way]``, else the three of the scores."""
    ranks = result.details.get("ranks", {}).get(space, {}).get(way)
    if ranks:
        ordered = np.sort(np.asarray(ranks))
        ks = list(range(1, longest + 1))
        return ks, [100 * float(np.searchsorted(ordered, k, side="right")) / len(ordered) for k in ks]
    scores = result.scores[space][way]
    return [1, 5, 10], [100 * Score.of(scores[f"R@{k}"]).mean for k in (1, 5, 10)]


def draw_maps(figure: FigureBase, material: Material) -> None:
    """Held-out clips in two dimensions by domain, one panel per model."""
    axes = np.atleast_1d(figure.subplots(1, len(material.maps)))
    figure.suptitle("Held-out clips, mean frame, t-SNE")
    for axis, (name, (vectors, domains)) in zip(axes, material.maps.items(), strict=True):
        points = flat(vectors)
        for domain in sorted(set(domains)):
            rows = [i for i, d in enumerate(domains) if d == domain]
            style = {"s": 6, "color": DOMAINS.get(domain, "#555555")}
            axis.scatter(points[rows, 0], points[rows, 1], label=domain or "unknown", **style)
        axis.set(title=name, xticks=[], yticks=[])
    axes[0].legend(fontsize=7)


def flat(vectors_ND: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, 2): columns standardised, t-SNE started from the principal components; those alone if N is small.

    The same vectors give the same map.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    x = np.asarray(vectors_ND, dtype=np.float64)
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)
    if len(x) < 3 * POINTS or x.shape[1] < 3:
        out = PCA(min(2, *x.shape), random_state=0).fit_transform(x)
        return np.pad(out, ((0, 0), (0, 2 - out.shape[1])))
    x = PCA(min(30, *x.shape), random_state=0).fit_transform(x)
    return TSNE(2, perplexity=POINTS, init="pca", random_state=0, n_jobs=1).fit_transform(x.astype(np.float32))


def _save(figure: Figure, path: Path, synthetic: bool) -> Path:
    """PNG by atomic rename; without a date, so that the same numbers give the same file."""
    if synthetic:
        figure.text(0.995, 0.002, "SYNTHETIC DATA", ha="right", va="bottom", color="#b00020", weight="bold", fontsize=9)
    with replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary, metadata={"Software": None})
    return path
