"""What the numbers show: plain questions, each answered yes or no from the result files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audiotext.evaluate.results import FLOOR, RANDOM, Result, models, part_of
from audiotext.evaluate.table import Score, average, grid, within_noise

MARGIN = 15.0  # points over random initialisation, averaged over probes
TIMES_CHANCE = 10.0
FLOOR_SHARE = 3 / 5  # of the probes, on which the better encoder beats the floor
POOLING = "attention"
FEW = 10  # per cent of the training data
MOST_NAMED = 6  # probes


@dataclass(frozen=True)
class Finding:
    """``holds`` is None where what it needs was not measured."""

    question: str
    measured: str
    holds: bool | None

    @property
    def answer(self) -> str:
        return "not measured" if self.holds is None else "yes" if self.holds else "NO"


def findings(results: Sequence[Result]) -> list[Finding]:
    """Every check, in the order of the table."""
    pretrained = [name for name in models(results) if name not in (FLOOR, RANDOM)]
    return [
        *(f for name in pretrained for f in against_random(results, name)),
        against_floor(results, pretrained),
        *(f for name in pretrained for f in with_few_clips(results, name)),
        *(f for name in pretrained for f in retrieval_against_chance(results, name)),
        *(f for name in pretrained for f in captions_against_baselines(results, name)),
        *(f for name in pretrained for f in answers_against_blind(results, name)),
    ]


def findings_lines(found: Sequence[Finding]) -> list[str]:
    """A Markdown table of findings."""
    rows = [["question", "answer", "measured"], *([f.question, f.answer, f.measured] for f in found)]
    return grid(rows, left=3)


def probe_scores(results: Sequence[Result], model: str, pooling: str) -> dict[str, Score]:
    """The score of one model by probe."""
    return {
        r.task: r.score(pooling, probe_metric(r))
        for r in results
        if r.kind == "probe" and r.model == model and pooling in r.scores
    }


def probe_metric(result: Result) -> str:
    """The score by which a probe is compared."""
    return result.details.get("metric", "accuracy")


def short(task: str) -> str:
    """A task's name without the kind it begins with."""
    return task.removeprefix("probe_").removeprefix("zero_shot_").removeprefix("verification_").replace("_", " ")


def against_random(results: Sequence[Result], model: str) -> list[Finding]:
    """Margin over random initialisation: on average, and against the seeds' spread on every probe."""
    mine, random = (probe_scores(results, name, POOLING) for name in (model, RANDOM))
    tasks = sorted(mine.keys() & random.keys())
    first = f"{model}: {MARGIN:.0f} points over random on average ({POOLING} pooling)?"
    second = f"{model}: over random by more than the seeds' spread on every probe?"
    if not tasks:
        return [Finding(first, "no probes of both", None), Finding(second, "no probes of both", None)]
    margins = {t: 100 * (mine[t].mean - random[t].mean) for t in tasks}
    spreads = {t: 100 * ((mine[t].std or 0.0) + (random[t].std or 0.0)) for t in tasks}
    mean = sum(margins.values()) / len(tasks)
    each = _least({t: f"{short(t)} {margins[t]:+.1f} (spread {spreads[t]:.1f})" for t in tasks}, margins)
    return [
        Finding(first, f"{mean:+.1f} points over {len(tasks)} probes", mean >= MARGIN),
        Finding(second, each, all(margins[t] > spreads[t] for t in tasks)),
    ]


def against_floor(results: Sequence[Result], pretrained: Sequence[str]) -> Finding:
    """The better pretrained encoder against the floor with whichever pooling serves the floor best on each probe."""
    question = "better pretrained encoder: above the log-mel floor on three fifths of the probes?"
    ours = {name: probe_scores(results, name, POOLING) for name in pretrained}
    ours = {name: scores for name, scores in ours.items() if scores}
    floors = [probe_scores(results, FLOOR, pooling) for pooling in (POOLING, "mean")]
    floor = {t: max(f[t].mean for f in floors if t in f) for f in floors for t in f}
    if not ours or not floor:
        return Finding(question, "no probes of both", None)
    best = max(ours, key=lambda name: average(list(ours[name].values())).mean)
    tasks = sorted(ours[best].keys() & floor.keys())
    if not tasks:
        return Finding(question, "no probes of both", None)
    margins = {t: 100 * (ours[best][t].mean - floor[t]) for t in tasks}
    each = _least({t: f"{short(t)} {margins[t]:+.1f}" for t in tasks}, margins)
    won = sum(ours[best][t].mean > floor[t] for t in tasks)
    return Finding(question, f"{best}: {won} of {len(tasks)} ({each})", won >= FLOOR_SHARE * len(tasks))


def with_few_clips(results: Sequence[Result], model: str) -> list[Finding]:
    """Whether the margin over random initialisation is larger where there is little to train the probe on; nothing
    where no probe was trained on a part. A difference of margins within noise (a paired bootstrap) is a no."""
    few, every = (
        {name: probe_scores(results, name, part) for name in (model, RANDOM)}
        for part in (part_of(POOLING, FEW), POOLING)
    )
    tasks = sorted(few[model].keys() & few[RANDOM].keys() & every[model].keys() & every[RANDOM].keys())
    if not tasks:
        return []
    margins = [
        _margin(*(average([scores[name][t] for t in tasks]) for name in (model, RANDOM))) for scores in (few, every)
    ]
    noise = within_noise(*margins)
    shown = [f"{100 * m.mean:+.1f} points" for m in margins]
    measured = f"{shown[0]} against {shown[1]} ({', '.join(map(short, tasks))}{'; within noise' if noise else ''})"
    question = f"{model}: over random by more on {FEW} % of the training data than on all of it ({POOLING} pooling)?"
    return [Finding(question, measured, margins[0].mean > margins[1].mean and not noise)]


def _margin(first: Score, second: Score) -> Score:
    known = first.resampled is not None and second.resampled is not None
    return Score(first.mean - second.mean, None, first.resampled - second.resampled if known else None)


def _least(texts: dict[str, str], values: dict[str, float]) -> str:
    """All of a few texts; of many those of the least values, and of how many."""
    if len(texts) <= MOST_NAMED:
        return ", ".join(texts.values())
    least = sorted(texts, key=values.__getitem__)[: MOST_NAMED // 2]
    return f"least of {len(texts)}: {', '.join(texts[t] for t in least)}"


def retrieval_against_chance(results: Sequence[Result], model: str) -> list[Finding]:
    """R@10 of the model's own shared space over chance, both directions; nothing for a model without one."""
    found = []
    for result in (r for r in results if r.kind == "retrieval" and r.model == model and "direct" in r.scores):
        ways = result.scores["direct"].items()
        times = {way: Score.of(s["R@10"]).mean / Score.of(s["chance_R@10"]).mean for way, s in ways}
        measured = ", ".join(f"{way.replace('_', ' ')} {value:.1f} times" for way, value in times.items())
        question = f"{model}: {result.task} R@10 at least {TIMES_CHANCE:.0f} times chance, both directions?"
        found.append(Finding(question, measured, min(times.values()) >= TIMES_CHANCE))
    return found


def captions_against_baselines(results: Sequence[Result], model: str) -> list[Finding]:
    """CIDEr-D of beam search against both baselines, for the decoder trained here and for the model's own."""
    found = []
    for result in (r for r in results if r.kind == "captioning" and r.model == model):
        bars = {name: Score.of(s["cider_d"]).mean for name, s in result.scores["baseline"].items()}
        against = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in bars.items())
        for part, words in (("trained", "decoder trained here"), ("direct", "own decoder")):
            if part in result.scores:
                value = Score.of(result.scores[part]["beam"]["cider_d"]).mean
                question = f"{model}, {words}: CIDEr-D above both baselines?"
                found.append(Finding(question, f"{value:.3f}; {against}", value > max(bars.values())))
    return found


def answers_against_blind(results: Sequence[Result], model: str) -> list[Finding]:
    """Exact match over all questions against answering without listening."""
    found = []
    for result in (r for r in results if r.kind == "question" and r.model == model):
        mine, blind = (Score.of(result.scores[k]["all"]["exact_match"]).mean * 100 for k in ("trained", "blind"))
        question = f"{model}: answers better than the blind baseline (exact match)?"
        found.append(Finding(question, f"{mine:.1f} against {blind:.1f}", mine > blind))
    return found
