"""Probes on a frozen encoder: what its frames tell about labelled clips, by pooling, kind of probe and layer."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from torch import Tensor

from audiotext.config import ConfigError
from audiotext.evaluate.attentive import AttentiveConfig, Member, fit_attentive, predict
from audiotext.evaluate.context import Context
from audiotext.evaluate.fit import at_least
from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.evaluate.items import Items, Sample
from audiotext.evaluate.labels import labelled, names_of, targets
from audiotext.evaluate.layers import LAST, MIX, check_layer
from audiotext.evaluate.pooled import (
    Fitted,
    NetworkConfig,
    choose,
    fit_logistic,
    fit_neighbours,
    fit_network,
    network_points,
    vectors,
)
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol, ProtocolError, spread
from audiotext.evaluate.results import part_of
from audiotext.evaluate.split import PART, named_split, nested_share, share_facts, validation_split
from audiotext.metric.classification import accuracy, balanced_accuracy, d_prime, mean_average_precision, roc_auc

LOG = logging.getLogger(__name__)
ATTENTION = "attention"
LEAST_SEEDS = 3
STEPS = 300  # of an attention probe on a share of the training clips, at least


@dataclass
class _Run:
    """What a probe of one seed predicts on one test part: class numbers (N,), or scores (N, C) of several labels."""

    predicted: np.ndarray
    chosen: dict
    split: str


@EVALUATIONS.register("probe")
@dataclass
class Probe(Evaluation):
    """Classify clips by ``labels[label]``.

    For every seed a validation part of the training split (whole families) chooses from a fixed grid, the probe is
    fitted again on all of the training split, and the test split is scored once. ``folds`` names the label that
    holds a clip's fold instead of the manifest's train/test split: each fold is reported once by a probe chosen and
    trained on the others.
    """

    label: str
    manifest: str = "probe"
    domain: str = ""
    description: str = ""
    folds: str | None = None
    several: bool = False
    """A clip may have several labels (a list): scored by mAP, AUC and d' instead of accuracy."""
    poolings: list[Literal["mean", "max", "statistics", "attention"]] = field(
        default_factory=lambda: ["mean", "attention"]
    )
    probes: list[Literal["linear", "mlp", "knn"]] = field(default_factory=lambda: ["linear"])
    """What is put on the pooled vector; attention pooling is always followed by a linear layer."""
    layer: int | str = LAST
    """``last``; a number, 0 the first, -2 the last but one; ``mix``, learnt weights of every layer's pooled vector."""
    shares: list[float] = field(default_factory=list)
    """Percentages of the training clips to train on as well, such as [1, 5, 10]: nested, stratified, by seed."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    validation: float | str = 0.2
    """Part of the training split that chooses; or the name of the split that does, which is then trained on as well."""
    c: list[float] = field(default_factory=lambda: [1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0])
    """Inverse strengths of the logistic regression's penalty."""
    neighbours: list[int] = field(default_factory=lambda: [1, 5, 20])
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """``mlp``; and ``linear`` where the clips have several labels or layers are mixed."""
    attention: AttentiveConfig = field(default_factory=AttentiveConfig)

    def __post_init__(self) -> None:
        check_layer(self.layer)
        if self.layer == MIX and (ATTENTION in self.poolings or "knn" in self.probes):
            raise ConfigError("layer: mix is learnt by linear and mlp probes on mean, max or statistics pooling only")
        if self.several and "knn" in self.probes:
            raise ConfigError("probes: knn wants one label per clip")
        if self.folds and isinstance(self.validation, str):
            raise ConfigError(f"validation: {self.validation}: with folds, a part of the others chooses; give a number")
        if any(not 0 < share < 100 for share in self.shares):
            raise ConfigError(f"shares: {self.shares} are not all percentages between 0 and 100")

    @property
    def metric(self) -> str:
        """The score that chooses and by which models are compared."""
        return "mAP" if self.several else "accuracy"

    def variants(self) -> list[tuple[str, str, str]]:
        """Name in the results, pooling and kind of every probe."""
        found = [(pooling, pooling, "linear") for pooling in self.poolings if "linear" in self.probes]
        found += [(f"{k}, {p}", p, k) for k in self.probes for p in self.poolings if k != "linear" and p != ATTENTION]
        if ATTENTION in self.poolings and "linear" not in self.probes:
            found.append((ATTENTION, ATTENTION, "linear"))
        return found

    def protocol(self, context: Context) -> Protocol:
        clips = labelled(context, self.manifest, self.label, self.several)
        chosen_on = self.validation if isinstance(self.validation, str) else None
        return split_protocol(clips, self.folds, self.label, self.manifest, chosen_on)

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        parts = protocol.folds or (protocol,)
        frames = context.frames(self.manifest, self.layer)
        clips = [clip for part in parts for clip in frames.select(part.report_on).clips]
        fold = np.concatenate([np.full(len(frames.select(p.report_on)), i) for i, p in enumerate(parts)])
        every = frames.select([*protocol.select_on, *protocol.report_on]).clips
        classes = sorted({name for clip in every for name in names_of(clip, self.label)})
        truth = targets(clips, self.label, classes, self.several).numpy()
        scores: dict[str, dict] = {}
        items: dict[str, Sample] = {}
        details: dict = {"chosen": {}, "metric": self.metric}
        if len(self.seeds) < LEAST_SEEDS:
            LOG.warning("%s: %d seeds; a spread wants %d or more", self.label, len(self.seeds), LEAST_SEEDS)
        for name, pooling, kind in self.variants():
            for share in (None, *self.shares):
                part_name = name if share is None else part_of(name, share)
                folds = [self._fold(pooling, kind, frames, part, classes, share) for part in parts]
                runs = [np.concatenate([f[s].predicted for f in folds]) for s in range(len(self.seeds))]
                scores[part_name] = self._scores(runs, truth, fold)
                items |= self._samples(part_name, clips, runs, truth, fold if len(parts) > 1 else None)
                details["chosen"][part_name] = [f[s].chosen for s in range(len(self.seeds)) for f in folds]
                if share is None:
                    details["validation_split"] = folds[0][0].split
                LOG.info("%s, %s: %s %.3f", self.label, part_name, self.metric, scores[part_name][self.metric]["mean"])
        details |= _guessing(truth)
        if self.shares:
            details["shares"] = self._share_facts(frames, parts, classes)
        details["train_clips"] = len(protocol.select_on or protocol.report_on)
        details["train_found"] = len(frames.select(protocol.select_on or protocol.report_on))
        details["families_in_train_and_test"] = sum(_shared_families(frames, part) for part in parts)
        details["domain"] = self.domain
        shown = ", ".join(name for name, _, _ in self.variants())
        return Outcome(scores, details, shown, len(protocol.report_on), len(clips), items, layer=str(self.layer))

    def _share_facts(self, frames: FrozenFrames, parts: Sequence[Protocol], classes: list[str]) -> dict[str, dict]:
        """What every share of the training clips comes to, by per cent, mean over folds and seeds."""
        train = [targets(frames.select(p.select_on).clips, self.label, classes, self.several).numpy() for p in parts]
        found = {}
        for share in (*self.shares, None):
            each = [share_facts(target, share, self.seeds) for target in train]
            found[f"{share or 100:g}"] = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
        for share, facts in found.items():
            if facts["classes"] < found["100"]["classes"]:
                LOG.warning("%s: %s %% of the training clips hold %.1f of %.0f classes; the others cannot be learnt",
                            self.label, share, facts["classes"], found["100"]["classes"])  # fmt: skip
        return found

    def _scores(self, runs: list[np.ndarray], truth: np.ndarray, fold: np.ndarray) -> dict[str, dict]:
        """Scores by name, mean over folds, spread over seeds."""
        each: dict[str, list[float]] = {}
        for run in runs:
            found = [self._score(run[fold == f], truth[fold == f]) for f in np.unique(fold)]
            for name in found[0]:
                each.setdefault(name, []).append(float(np.mean([x[name] for x in found])))
        return {name: spread(values) for name, values in each.items()}

    def _score(self, predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        if not self.several:
            return {f.__name__: f(predicted, truth) for f in (accuracy, balanced_accuracy)}
        area = roc_auc(predicted, truth)
        return {"mAP": mean_average_precision(predicted, truth), "AUC": area, "d_prime": d_prime(area)}

    def _samples(
        self, part: str, clips: list[EvalClip], runs: list[np.ndarray], truth: np.ndarray, fold: np.ndarray | None
    ) -> dict[str, Sample]:
        if not self.several:
            return class_samples(part, clips, runs, truth, fold)
        target = truth.astype(bool)
        columns = [{"scores": run.astype(np.float32), "target": target} for run in runs]
        clips_ = Items.of([clip.id for clip in clips], [clip.family for clip in clips])
        return {f"{part}/{name}": Sample(clips_, columns, name, fold) for name in ("mAP", "AUC", "d_prime")}

    def _fold(
        self, pooling: str, kind: str, frames: FrozenFrames, part: Protocol, classes: list[str], share: float | None
    ) -> list[_Run]:
        """Choose, fit and predict on one split: a run for every seed."""
        train, test = frames.select(part.select_on), frames.select(part.report_on)
        if not len(train) or not len(test):
            have = f"{len(train)} clips to train on and {len(test)} to test on have frames"
            raise ProtocolError(f"{self.label}: {part.description}: {have}; the log says why of each")
        known = {name for clip in train.clips for name in names_of(clip, self.label)}
        targets(test.clips, self.label, sorted(known), self.several)  # a class that training has not seen is an error
        target = targets(train.clips, self.label, classes, self.several)
        drawn = [nested_share(target.numpy(), share, seed) for seed in self.seeds]
        splits = [self._split(train, target, rows, seed) for rows, seed in zip(drawn, self.seeds, strict=True)]
        if pooling == ATTENTION:
            return self._attention(train, target, drawn, splits, test, len(classes))
        x, new = (vectors(found, pooling, self.layer == MIX) for found in (train, test))
        runs = []
        for seed, rows, (inner, held, how) in zip(self.seeds, drawn, splits, strict=True):
            points, fit_point = self._grid(kind, len(classes), seed)
            mine, y = x[rows], target.numpy()[rows]
            chosen, fitted = choose(points, fit_point, self._criterion, mine, y, inner, held)
            chosen[f"validation_{self.metric}"] = chosen.pop("validation")
            if fitted.mix:
                chosen["mix"] = fitted.mix
            runs.append(_Run(fitted.predict(new), chosen, how))
        return runs

    def _split(self, train: FrozenFrames, target: Tensor, rows: Sequence[int], seed: int) -> tuple[list, list, str]:
        """Places within ``rows`` to fit on and to choose on, and how they were parted."""
        clips = [train.clips[i] for i in rows]
        if found := named_split(clips, self.validation):
            return found
        counts = Counter() if self.several else Counter(str(clip.labels[self.label]) for clip in clips)
        if few := sorted(name for name, count in counts.items() if count < 2):
            names = ", ".join(map(repr, few))
            raise ProtocolError(f"{self.label}: one training clip of {names}; fitting and choosing want one each")
        part = PART if isinstance(self.validation, str) else self.validation
        kinds = np.zeros(len(clips), int) if self.several else target.numpy()[list(rows)]
        return validation_split(kinds, [clip.family for clip in clips], part, seed)

    def _criterion(self, predicted: np.ndarray, truth: np.ndarray) -> float:
        return mean_average_precision(predicted, truth) if self.several else accuracy(predicted, truth)

    def _grid(self, kind: str, classes: int, seed: int):
        """The points of a probe of one vector per clip, and how one of them is fitted."""
        if kind == "knn":
            return [{"k": k} for k in self.neighbours], lambda x, y, point: fit_neighbours(x, y, point["k"])
        if kind == "linear" and not self.several and self.layer != MIX:
            return [{"c": c} for c in sorted(self.c)], lambda x, y, point: fit_logistic(x, y, point["c"])
        hidden = self.network.hidden if kind == "mlp" else 0

        def fit_point(x: np.ndarray, y: np.ndarray, point: dict[str, float]) -> Fitted:
            return fit_network(x, y, classes, self.network, hidden, point, seed)

        return network_points(self.network), fit_point

    def _attention(
        self,
        train: FrozenFrames,
        target: Tensor,
        drawn: list[list[int]],
        splits: list[tuple],
        test: FrozenFrames,
        classes: int,
    ) -> list[_Run]:
        """Attention pooling and a linear layer on standardised frames, every seed and point of the grid at once.

        The members share their frames, so mean and deviation are those of all clips that any of them may train on: of
        the part that chooses too, without its labels, and never of the test clips.
        """
        config, grid = self.attention, self.attention.grid()
        if (used := sorted(set().union(*drawn))) != list(range(len(train))):  # clips that no seed drew cost nothing
            place = {row: n for n, row in enumerate(used)}
            train, target = train.select([train.ids[row] for row in used]), target[used]
            drawn = [[place[row] for row in own] for own in drawn]
            config = replace(config, fit=at_least(config.fit, STEPS, len(used)))
        scale = train.scale()
        train, test = train.standardised(*scale), test.standardised(*scale)
        rows = [[[own[n] for n in part] for part in split[:2]] for own, split in zip(drawn, splits, strict=True)]
        tried = [Member(p, seed, inner) for seed, (inner, _) in zip(self.seeds, rows, strict=True) for p in grid]
        probes = fit_attentive(config, train, target, classes, tried, self.seeds[0])
        guesses = predict(probes, train, self.several).unflatten(0, (len(self.seeds), len(grid))).numpy()
        chosen = []
        for found, (_, held) in zip(guesses, rows, strict=True):
            scores = [self._criterion(row[held], target.numpy()[held]) for row in found]
            chosen.append({**grid[int(np.argmax(scores))], f"validation_{self.metric}": max(scores)})
        final = [Member(c, seed, own) for c, seed, own in zip(chosen, self.seeds, drawn, strict=True)]
        probes = fit_attentive(config, train, target, classes, final, self.seeds[0])
        predicted = predict(probes, test, self.several).numpy()
        return [_Run(p, c, split[2]) for p, c, split in zip(predicted, chosen, splits, strict=True)]


def class_samples(
    part: str, clips: Sequence[EvalClip], runs: Sequence[np.ndarray], truth: np.ndarray, parts: np.ndarray | None = None
) -> dict[str, Sample]:
    """Which clips were classified rightly, by ``part/score``: class numbers (N,) by run, and the true ones (N,)."""
    items = Items.of([clip.id for clip in clips], [clip.family for clip in clips])
    target = truth.astype(np.int32)
    columns = [{"value": np.asarray(run) == truth, "target": target} for run in runs]
    return {
        f"{part}/{name}": Sample(items, columns, statistic, parts)
        for name, statistic in (("accuracy", "mean"), ("balanced_accuracy", "balanced_accuracy"))
    }


def split_protocol(
    clips: list[EvalClip], folds: str | None, task: str, manifest: str, chosen_on: str | None = None
) -> Protocol:
    """The protocol of the manifest's own train/test split, or of cross validation over ``labels[folds]``.

    ``chosen_on``: the split on which hyper-parameters are chosen, if the corpus has one.
    """
    if folds is None:
        train = tuple(clip.id for clip in clips if clip.split == "train")
        test = tuple(clip.id for clip in clips if clip.split == "test")
        if not train:
            raise ProtocolError(f"{task}: no clip of manifest {manifest} is in split 'train'")
        text = "fixed split; chosen on a validation part of train, fitted on train, test scored once per seed"
        if chosen_on is not None:
            held = tuple(clip.id for clip in clips if clip.split == chosen_on)
            if not held or chosen_on in ("train", "test"):
                raise ProtocolError(f"{task}: validation: no clip of manifest {manifest} is in split {chosen_on!r}")
            text = f"fixed split; chosen on {chosen_on}, fitted on train and {chosen_on}, test scored once per seed"
            train += held
        return Protocol(task, text, train, test, (manifest,))
    fold_of = {clip.id: clip.labels.get(folds) for clip in clips}
    lost = [id_ for id_, fold in fold_of.items() if fold is None]
    names = sorted({str(fold) for fold in fold_of.values()})
    if lost or len(names) < 2:
        some = ", ".join(lost[:3])
        raise ProtocolError(f"{task}: {len(lost)} clips have no label {folds!r} ({some}); folds found: {names}")
    parts = []
    for name in names:
        train = tuple(i for i, f in fold_of.items() if str(f) != name)
        parts.append(Protocol(task, f"fold {name}", train, tuple(i for i, f in fold_of.items() if str(f) == name)))
    text = f"{len(names)} folds; each chosen and fitted on the others, the reported fold scored once per seed"
    return Protocol(task, text, (), tuple(fold_of), (manifest,), tuple(parts))


def _shared_families(frames: FrozenFrames, part: Protocol) -> int:
    """How many families (near-duplicates, or clips of one speaker) have clips on both sides of a split."""
    train, test = ({clip.family for clip in frames.select(ids).clips} for ids in (part.select_on, part.report_on))
    return len(train & test)


def _guessing(truth: np.ndarray) -> dict:
    """What guessing would score on class numbers (N,): the most frequent class, and one of the classes at random; on
    truth values (N, C): the mean share of a class, which is the average precision of an order that knows nothing."""
    if truth.ndim > 1:
        there = truth[:, truth.any(0)]
        return {"chance": float(there.mean()), "classes": there.shape[1]}
    _, counts = np.unique(truth, return_counts=True)
    return {"majority": float(counts.max() / counts.sum()), "chance": 1 / len(counts), "classes": len(counts)}
