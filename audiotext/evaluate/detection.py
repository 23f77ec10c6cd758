"""Sound event detection on frozen frames: which sounds, from when to when, scored by PSDS1 and by frame-level mAP."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from scipy.special import expit, logit

from audiotext.config import ConfigError
from audiotext.evaluate.attentive import Member
from audiotext.evaluate.context import Context
from audiotext.evaluate.detector import DetectorConfig, Detectors, fit_detectors, logits_of, median_frames, median_of
from audiotext.evaluate.events import Labelled, evenly, scored_classes
from audiotext.evaluate.frames import EvalClip
from audiotext.evaluate.items import Items, Sample
from audiotext.evaluate.labels import carrying
from audiotext.evaluate.layers import LAST, MIX, check_layer
from audiotext.evaluate.probe import LEAST_SEEDS, split_protocol
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol, ProtocolError, spread
from audiotext.evaluate.split import PART, named_split, validation_split
from audiotext.metric.classification import mean_average_precision
from audiotext.metric.psds import EVENT, PENALTIES, events_of, packages, psds1, thresholds

LOG = logging.getLogger(__name__)
Array = np.ndarray
TEXT = (
    "learning rate, weight decay and median filter by frame mAP; PSDS1 by psds_eval at 50 thresholds; scored classes: "
)


@EVALUATIONS.register("detection")
@dataclass
class Detection(Evaluation):
    """Find the events of ``labels[label]``, a list of [onset in seconds, offset in seconds, class]; an empty list is a
    clip in which nothing happens.

    For every seed a validation part of the training split (whole families) chooses from the grid by frame-level mAP,
    the detector is fitted again on all of the training split, and the test split is scored once.
    """

    label: str
    manifest: str = "probe"
    domain: str = ""
    description: str = ""
    layer: int | str = LAST
    common: bool = False
    """Score the classes that train and test share; by default a test class unseen in training is an error."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Each draws a validation part of its own, and the weights of a hidden layer; a linear layer begins with zeros."""
    validation: float | str = 0.2
    """Part of the training split that chooses; or the name of the split that does, which is then trained on as well."""
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    frames: int = 50_000
    """Test frames that the mAP is taken over, at most, evenly spaced; PSDS1 always takes all."""
    validation_frames: int = 10_000
    """The same of the validation part."""

    def __post_init__(self) -> None:
        check_layer(self.layer)
        if self.layer == MIX:
            raise ConfigError("layer: mix keeps no frames, and detection wants them")
        if self.frames < 1 or self.validation_frames < 1:
            raise ConfigError("frames, validation_frames: at least 1")

    def protocol(self, context: Context) -> Protocol:
        packages()  # before anything is trained
        clips = carrying(context, self.manifest, self.label)
        chosen_on = self.validation if isinstance(self.validation, str) else None
        found = split_protocol(clips, None, self.label, self.manifest, chosen_on)
        scored_classes(*_parts(clips, found), self.label, self.common)
        return replace(
            found, description=f"{found.description}; {TEXT}{'common to train and test' if self.common else 'of test'}"
        )

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        if len(self.seeds) < LEAST_SEEDS:
            LOG.warning("%s: %d seeds; a spread wants %d or more", self.label, len(self.seeds), LEAST_SEEDS)
        found = scored_classes(*_parts(context.clips(self.manifest), protocol), self.label, self.common)
        classes, frames = found[0], context.frames(self.manifest, self.layer)
        train = Labelled(frames.select(protocol.select_on), self.label, classes)
        test = Labelled(frames.select(protocol.report_on), self.label, classes)
        if not len(test.events):
            raise ProtocolError(f"{self.label}: no test clip with an event could be read")
        chosen, detectors = self._fitted(train)
        rows = evenly(test.lengths, self.frames)
        logits = [np.zeros((sum(map(len, rows)), len(classes)), np.float16) for _ in self.seeds]
        scored = [self._score(detectors, k, point["median"], test, rows, logits[k]) for k, point in enumerate(chosen)]
        target = np.concatenate([test.targets(i)[r] for i, r in enumerate(rows)])
        for scores, own in zip(scored, logits, strict=True):
            scores["mAP"] = mean_average_precision(own.astype(np.float32), target)
        part = f"mlp {self.detector.hidden}" if self.detector.hidden else "linear"
        scores = {name: spread([each[name] for each in scored]) for name in scored[0]}
        LOG.info("%s: PSDS1 %.3f, frame mAP %.3f", self.label, scores["PSDS1"]["mean"], scores["mAP"]["mean"])
        sample = Sample(_items(test, rows), [{"scores": own, "target": target} for own in logits], "mAP")
        details = {"chosen": chosen, "domain": self.domain, "PSDS1": "has no interval, only a spread over seeds"}
        details |= self._counts(train, test, found) | {"frames": len(target)}
        return Outcome(
            {part: scores}, details, "none, every frame", len(protocol.report_on), len(test),
            {f"{part}/mAP": sample}, str(self.layer),
        )  # fmt: skip

    def _fitted(self, train: Labelled) -> tuple[list[dict], Detectors]:
        """What each seed chose, and its detector trained on everything."""
        grid, config = self.detector.grid(), self.detector
        splits = [self._split(train, seed) for seed in self.seeds]
        tried = [Member(p, seed, inner) for seed, (inner, _, _) in zip(self.seeds, splits, strict=True) for p in grid]
        detectors = fit_detectors(config, train, tried, self.seeds[0], f"{self.label}, grid")
        chosen = []
        for number, (_, held, how) in enumerate(splits):
            which = range(number * len(grid), (number + 1) * len(grid))
            scores = self._validated(detectors, list(which), train, held)
            best = max(scores, key=scores.get)  # the earlier of equals
            chosen.append({**grid[best[0]], "median": best[1], "validation_mAP": scores[best], "validation_split": how})
        final = [Member(c, seed, range(len(train))) for c, seed in zip(chosen, self.seeds, strict=True)]
        return chosen, fit_detectors(config, train, final, self.seeds[0], f"{self.label}, all")

    def _split(self, train: Labelled, seed: int) -> tuple[list[int], list[int], str]:
        """Places of clips to fit on and to choose on, and how they were parted."""
        clips = train.frames.clips
        if found := named_split(clips, self.validation):
            return found
        part = PART if isinstance(self.validation, str) else self.validation
        return validation_split([0] * len(clips), [clip.family for clip in clips], part, seed)

    def _validated(
        self, detectors: Detectors, which: list[int], train: Labelled, held: list[int]
    ) -> dict[tuple[int, float], float]:
        """Frame mAP on the clips ``held`` by point of the grid and length of the filter."""
        rows = dict(zip(held, evenly([train.lengths[i] for i in held], self.validation_frames), strict=True))
        places = [i for i in held if len(rows[i])]
        kept: dict[tuple[int, float], list[Array]] = {x: [] for x in product(range(len(which)), self.detector.median)}
        target = []
        for i, logits in logits_of(detectors, train, which, places):
            target.append(train.targets(i)[rows[i]])
            for k, m in kept:
                kept[k, m].append(median_of(logits[k], median_frames(m, train.seconds_per_frame(i)), rows[i]))
        truth = np.concatenate(target)
        if not truth.any():
            raise ProtocolError(f"{self.label}: no frame of the validation part has an event; give a larger validation")
        return {key: mean_average_precision(np.concatenate(found), truth) for key, found in kept.items()}

    def _score(
        self, detectors: Detectors, number: int, median: float, test: Labelled, rows: Sequence[Array], kept: Array
    ) -> dict[str, float]:
        """PSDS1 of one detector; the logits of the frames ``rows`` of each clip are put into ``kept``."""
        points = thresholds()
        lowest = logit(points[0])
        detected: list[list[Array]] = [[] for _ in points]
        first = np.cumsum([0, *map(len, rows)])
        for i, (logits,) in logits_of(detectors, test, [number], range(len(test))):
            width = median_frames(median, test.seconds_per_frame(i))
            kept[first[i] : first[i + 1]] = median_of(logits, width, rows[i])
            heard = np.flatnonzero(logits.max(0) > lowest)  # a median exceeds nothing that no frame exceeds
            if not len(heard):
                continue
            scores = expit(median_of(logits[:, heard], width))
            for threshold, events in zip(points, detected, strict=True):
                found = events_of(scores, test.seconds_per_frame(i), threshold, i)
                found["label"] = heard[found["label"]]
                events.append(found)
        nothing = np.empty(0, EVENT)
        joined = (np.concatenate([nothing, *events]) for events in detected)
        return psds1(joined, test.events, np.array([clip.duration for clip in test.frames.clips]))

    def _counts(self, train: Labelled, test: Labelled, found: tuple[list[str], list[str], list[str]]) -> dict:
        """What was there, and what of it was not scored."""
        return {
            "classes": len(np.unique(test.events["label"])),
            "classes_in_train_only": found[1],
            "classes_in_test_only": found[2],
            "train_clips": len(train),
            "test_events": len(test.events),
            "test_clips_without_event": len(test) - len(np.unique(test.events["clip"])),
            "penalties": PENALTIES,
        }


def _items(test: Labelled, rows: Sequence[Array]) -> Items:
    """Frames, drawn together where their clips are of one family."""
    pairs = [(clip, row) for clip, places in zip(test.frames.clips, rows, strict=True) for row in places]
    return Items.of([f"{clip.id} {row}" for clip, row in pairs], [clip.family for clip, _ in pairs])


def _parts(clips: Sequence[EvalClip], protocol: Protocol) -> tuple[list[EvalClip], list[EvalClip]]:
    """The clips that may be selected on, and those that are reported on."""
    by_id = {clip.id: clip for clip in clips}
    return [by_id[i] for i in protocol.select_on], [by_id[i] for i in protocol.report_on]
