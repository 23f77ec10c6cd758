"""Linear probes on a frozen encoder: logistic regression on the mean frame, attention pooling with a linear layer."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from audiotext.evaluate.attentive import AttentiveConfig, fit_attentive, predict
from audiotext.evaluate.context import Context
from audiotext.evaluate.embed import EvalClip, FrozenFrames
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol, ProtocolError, spread
from audiotext.evaluate.split import validation_split
from audiotext.metric.classification import accuracy, balanced_accuracy

LOG = logging.getLogger(__name__)


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
    poolings: list[Literal["mean", "attention"]] = field(default_factory=lambda: ["mean", "attention"])
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    validation: float = 0.2
    expected: int | None = None
    """Clips that the published test set has; by default those that the manifest lists."""
    c: list[float] = field(default_factory=lambda: [1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0])
    """Inverse strengths of the logistic regression's penalty."""
    attention: AttentiveConfig = field(default_factory=AttentiveConfig)

    def protocol(self, context: Context) -> Protocol:
        clips = labelled(context, self.manifest, self.label)
        return split_protocol(clips, self.folds, self.label, self.manifest)

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        parts = protocol.folds or (protocol,)
        frames = context.frames(self.manifest)
        scores: dict[str, dict] = {}
        details: dict[str, dict] = {"chosen": {}}
        for pooling in self.poolings:
            runs = [[self._one(pooling, frames, part, seed) for part in parts] for seed in self.seeds]
            scores[pooling] = {
                name: spread([float(np.mean([r[name] for r in folds])) for folds in runs])
                for name in ("accuracy", "balanced_accuracy")
            }
            details["chosen"][pooling] = [r["chosen"] for folds in runs for r in folds]
            details["validation_split"] = runs[0][0]["split"]
            LOG.info("%s, %s pooling: accuracy %.3f", self.label, pooling, scores[pooling]["accuracy"]["mean"])
        found = frames.select(protocol.report_on)
        details |= _guessing([clip.labels[self.label] for clip in found.clips])
        details["train_clips"] = len(protocol.select_on or protocol.report_on)
        details["domain"] = self.domain
        expected = self.expected or len(protocol.report_on)
        return Outcome(scores, details, ", ".join(self.poolings), expected, len(found))

    def _one(self, pooling: str, frames: FrozenFrames, part: Protocol, seed: int) -> dict:
        """Choose, fit and score once: the scores, what was chosen, and how the validation part was drawn."""
        train, test = frames.select(part.select_on), frames.select(part.report_on)
        classes = sorted({str(clip.labels[self.label]) for clip in train.clips})
        target, truth = (numbers(x.clips, self.label, classes) for x in (train, test))
        inner, chosen_on, how = validation_split(target, [c.family for c in train.clips], self.validation, seed)
        method = _MeanProbe(self.c) if pooling == "mean" else _AttentionProbe(self.attention)
        train, test = method.prepare(train), method.prepare(test)
        classify = {"classes": len(classes), "seed": seed}
        points = [
            accuracy(method.fit_predict(p, _take(train, inner), target[inner], _take(train, chosen_on), **classify),
                     target[chosen_on])
            for p in method.grid
        ]  # fmt: skip
        point = method.grid[int(np.argmax(points))]
        predicted = method.fit_predict(point, train, target, test, **classify)
        return {
            "accuracy": accuracy(predicted, truth),
            "balanced_accuracy": balanced_accuracy(predicted, truth),
            "chosen": {**point, "validation_accuracy": max(points)},
            "split": how,
        }


class _MeanProbe:
    """Standardised mean over time, multinomial logistic regression."""

    def __init__(self, c: list[float]):
        self.grid = [{"c": value} for value in c]

    def prepare(self, frames: FrozenFrames) -> np.ndarray:
        return frames.means().numpy()

    def fit_predict(
        self, point: dict, train: np.ndarray, target: Tensor, test: np.ndarray, classes: int, seed: int
    ) -> np.ndarray:
        model: Pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=point["c"], max_iter=500))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(train, target.numpy()).predict(test)


class _AttentionProbe:
    """Standardised frames, attention pooling, a linear layer."""

    def __init__(self, config: AttentiveConfig):
        self.config, self.grid = config, config.grid()

    def prepare(self, frames: FrozenFrames) -> FrozenFrames:
        return frames

    def fit_predict(
        self, point: dict, train: FrozenFrames, target: Tensor, test: FrozenFrames, classes: int, seed: int
    ) -> Tensor:
        mean, std = train.scale()
        probe = fit_attentive(self.config, point, train.standardised(mean, std), target, classes, seed)
        return predict(probe, test.standardised(mean, std))


def _take(items: FrozenFrames | np.ndarray, indices: list[int]) -> FrozenFrames | np.ndarray:
    if isinstance(items, np.ndarray):
        return items[indices]
    return FrozenFrames([items.clips[i] for i in indices], [items.frames[i] for i in indices], [])


def labelled(context: Context, manifest: str, label: str) -> list[EvalClip]:
    """The clips of a manifest that carry a label. Raises ProtocolError naming the labels there are."""
    every = context.clips(manifest)
    clips = [clip for clip in every if clip.labels.get(label) not in (None, "", [])]
    if not clips:
        known = ", ".join(sorted({key for clip in every for key in clip.labels})) or "none"
        raise ProtocolError(f"{context.manifest_path(manifest)}: no clip has the label {label!r}; labels: {known}")
    wrong = next((clip for clip in clips if not isinstance(clip.labels[label], (str, int))), None)
    if wrong is not None:
        raise ProtocolError(f"{wrong.id}: label {label!r} is {wrong.labels[label]!r}; a probe wants one class per clip")
    return clips


def split_protocol(clips: list[EvalClip], folds: str | None, task: str, manifest: str) -> Protocol:
    """The protocol of the manifest's own train/test split, or of cross validation over ``labels[folds]``."""
    if folds is None:
        train = tuple(clip.id for clip in clips if clip.split == "train")
        test = tuple(clip.id for clip in clips if clip.split == "test")
        if not train:
            raise ProtocolError(f"{task}: no clip of manifest {manifest} is in split 'train'")
        text = "fixed split; chosen on a validation part of train, fitted on train, test scored once per seed"
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


def numbers(clips: list[EvalClip], label: str, classes: list[str]) -> Tensor:
    """Class numbers (N,). Raises ProtocolError for a class that training has not seen."""
    index = {name: i for i, name in enumerate(classes)}
    for clip in clips:
        if str(clip.labels[label]) not in index:
            raise ProtocolError(f"{clip.id}: {label} {clip.labels[label]!r} is not one of the known classes: {classes}")
    return torch.tensor([index[str(clip.labels[label])] for clip in clips])


def _guessing(labels: list) -> dict:
    """What guessing would score: the most frequent class, and one of the classes at random."""
    _, counts = np.unique([str(x) for x in labels], return_counts=True)
    return {"majority": float(counts.max() / counts.sum()), "chance": 1 / len(counts), "classes": len(counts)}
