"""Verification: are two clips of one speaker (one instrument, one kit)? Cosine of frozen vectors, equal error rate."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from audiotext.evaluate.context import Context
from audiotext.evaluate.items import Items, Sample
from audiotext.evaluate.labels import labelled
from audiotext.evaluate.layers import LAST, MIX, check_layer
from audiotext.evaluate.pooled import vectors
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol, ProtocolError
from audiotext.metric.classification import equal_error_rate, roc_auc

LOG = logging.getLogger(__name__)


@EVALUATIONS.register("verification")
@dataclass
class Verification(Evaluation):
    """Pairs of test clips, as many of one value of ``labels[label]`` as of two, nothing trained: vectors are only
    standardised by the mean and deviation of the training split."""

    label: str
    manifest: str = "probe"
    domain: str = ""
    description: str = ""
    pooling: Literal["mean", "max", "statistics"] = "mean"
    layer: int | str = LAST
    pairs: int = 20_000
    """Of either kind, at most; where there are more they are drawn."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """The first one draws the pairs."""

    def __post_init__(self) -> None:
        check_layer(self.layer)
        if self.layer == MIX:
            raise ProtocolError("layer: mix is learnt, and a verification learns nothing")

    def protocol(self, context: Context) -> Protocol:
        clips = labelled(context, self.manifest, self.label)
        train = tuple(clip.id for clip in clips if clip.split == "train")
        test = tuple(clip.id for clip in clips if clip.split == "test")
        if not train:
            raise ProtocolError(f"{self.label}: no clip of manifest {self.manifest} is in split 'train'")
        text = "pairs of test clips by cosine of pooled frames, standardised over train; nothing is trained or chosen"
        return Protocol(f"verification {self.label}", text, train, test, (self.manifest,))

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        frames = context.frames(self.manifest, self.layer)
        train, test = frames.select(protocol.select_on), frames.select(protocol.report_on)
        x, known = (vectors(found, self.pooling, False)[:, 0] for found in (test, train))
        spread = known.std(0)
        x = (x - known.mean(0)) / np.where(spread > 1e-5, spread, 1.0)
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        values = [str(clip.labels[self.label]) for clip in test.clips]
        left, right = trials(values, self.pairs, self.seeds[0])
        scores = np.einsum("nd,nd->n", x[left], x[right])
        same = np.array([values[a] == values[b] for a, b in zip(left, right, strict=True)])
        found = {"EER": equal_error_rate(scores, same), "AUC": roc_auc(scores[:, None], same[:, None])}
        items = Items.of([f"{test.ids[a]} {test.ids[b]}" for a, b in zip(left, right, strict=True)], _of(values, left))
        columns = {"scores": scores.astype(np.float32), "target": same}
        details = {"pairs": len(same), "same": int(same.sum()), "values": len(set(values)), "domain": self.domain}
        LOG.info("verification %s: EER %.3f of %d pairs", self.label, found["EER"], len(same))
        return Outcome(
            {self.pooling: found}, details, self.pooling, len(protocol.report_on), len(test),
            {f"{self.pooling}/EER": Sample(items, [columns], "EER")}, str(self.layer),
        )  # fmt: skip


def trials(values: list[str], most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of places, first those of one value and then as many of two: (P,), (P,), each pair once.

    Raises ProtocolError where no two clips share a value, or all do.
    """
    generator = np.random.default_rng(seed)
    places: dict[str, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        places[value].append(place)
    same = [(own[i], own[j]) for own in places.values() for j in range(len(own)) for i in range(j)]
    if not same or len(places) < 2:
        raise ProtocolError(f"verification: {len(values)} clips of {len(places)} values make no pairs of both kinds")
    if len(same) > most:
        same = [same[i] for i in np.sort(generator.choice(len(same), most, replace=False))]
    code = np.unique(values, return_inverse=True)[1]
    other: dict[tuple[int, int], None] = {}
    there = (len(values) ** 2 - sum(len(own) ** 2 for own in places.values())) // 2
    while len(other) < min(len(same), there):
        a, b = np.sort(generator.integers(0, len(values), (2, 2 * len(same))), axis=0)
        apart = code[a] != code[b]
        other |= dict.fromkeys(zip(a[apart].tolist(), b[apart].tolist(), strict=True))
    pairs = np.array([*same, *list(other)[: len(same)]])
    return pairs[:, 0], pairs[:, 1]


def _of(values: list[str], places: np.ndarray) -> list[str]:
    """The value of each pair's first clip: pairs that share it are not independent."""
    return [values[i] for i in places]
