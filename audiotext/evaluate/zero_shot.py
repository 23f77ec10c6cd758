"""Zero-shot classification: the class whose prompts are nearest to the clip in the shared space."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import torch

from audiotext.config import ConfigError, nearest, to_tree
from audiotext.evaluate.context import Context
from audiotext.evaluate.labels import labelled, numbers
from audiotext.evaluate.lit import LitConfig, lit_settings
from audiotext.evaluate.probe import class_samples
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol
from audiotext.evaluate.retrieval import average, shown_pooling, spaces_of
from audiotext.metric.classification import accuracy, balanced_accuracy

LOG = logging.getLogger(__name__)


@EVALUATIONS.register("zero_shot")
@dataclass
class ZeroShot(Evaluation):
    """Classify the test clips of a probe by prompts, with no labelled clip.

    ``classes`` maps each value of ``labels[label]`` to its names; every template is filled with every name and a
    class is the mean of its unit vectors. With ``split`` null every clip that has the label is classified.
    """

    label: str
    classes: dict[str, list[str]]
    templates: list[str] = field(default_factory=lambda: ["{}"])
    manifest: str = "probe"
    split: str | None = "test"
    domain: str = ""
    description: str = ""
    lit: LitConfig = field(default_factory=LitConfig)
    lit_for_all: bool = True
    """Score the trained text side also where the model has its own."""
    seeds: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        bad = [t for t in self.templates if "{}" not in t]
        if bad or not self.templates:
            raise ConfigError(f"templates: each needs {{}} where the name goes, got {bad or self.templates}")
        if len(self.classes) < 2 or not all(self.classes.values()):
            raise ConfigError("classes: needs two classes or more, each with at least one name")

    def settings(self, context: Context) -> dict:
        tree = to_tree(self)
        return tree | ({"lit": lit_settings(self.lit, context)} if self._wants_lit(context) else {})

    def protocol(self, context: Context) -> Protocol:
        clips = labelled(context, self.manifest, self.label)
        report_on = tuple(clip.id for clip in clips if self.split in (None, clip.split))
        for value in sorted({str(clip.labels[self.label]) for clip in clips}):
            if value not in self.classes:
                raise ConfigError(f"classes: no prompts for {self.label} {value!r}, {nearest(value, self.classes)}")
        names = (self.lit.train, self.lit.select) if self._wants_lit(context) else ()
        select_on = tuple(clip.id for name in names for clip in context.clips(name))
        text = f"prompts fixed beforehand; lit: text side trained on {self.lit.train}, chosen on {self.lit.select}"
        return Protocol(f"zero_shot {self.label}", text, select_on, report_on, (self.manifest, *names))

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        frames = context.frames(self.manifest).select(protocol.report_on)
        present = {str(clip.labels[self.label]) for clip in frames.clips}
        classes = sorted(self.classes)
        truth = numbers(frames.clips, self.label, classes)
        scores, items = {}, {}
        for name, spaces in spaces_of(context, self.lit, self.seeds, self._wants_lit(context)).items():
            runs, guesses = [], []
            for space in spaces:
                vectors = space.prompts([self.classes[name] for name in classes], self.templates)
                predicted = (space.audio(frames) @ vectors.T).argmax(1)
                pair = (predicted, truth)
                runs.append({"accuracy": accuracy(*pair), "balanced_accuracy": balanced_accuracy(*pair)})
                guesses.append(predicted.numpy())
            items |= class_samples(name, frames.clips, guesses, truth.numpy())
            scores[name] = average(runs)
            LOG.info("zero-shot %s (%s): accuracy %.3f", self.label, name, scores[name]["accuracy"])
        counts = torch.bincount(truth)
        details = {
            "classes": len(classes),
            "chance": 1 / len(classes),
            "majority": float(counts.max() / counts.sum()),
            "classes_without_test_clips": sorted(set(classes) - present),
            "domain": self.domain,
        }
        prompts = {
            name: [template.replace("{}", word) for template in self.templates for word in words]
            for name, words in self.classes.items()
        }
        pooling = shown_pooling(scores, context, self.lit)
        return Outcome(scores, details, pooling, len(protocol.report_on), len(frames), items, prompts=prompts)

    def _wants_lit(self, context: Context) -> bool:
        """A corpus with no captioned training part can still be classified by a model that has its own text side."""
        if context.model.text_encoder is None:
            return True
        return self.lit_for_all and all(context.has_manifest(name) for name in (self.lit.train, self.lit.select))
