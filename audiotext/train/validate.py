"""Validation while training: loss, retrieval, and a few clips to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from audiotext.metric.retrieval import retrieval_metrics
from audiotext.model import AudioTextModel
from audiotext.objective.base import similarities
from audiotext.train.learner import Learner
from audiotext.train.meter import Meter
from audiotext.types import Batch, EncoderOutput, Padded

SHOWN = ("R@1", "R@5", "R@10", "mAP@10", "median_rank")


@dataclass
class Sample:
    """A validation clip to show: its filterbank (T, F), its captions, and what the model makes of it."""

    id: str
    domain: str
    feats: Tensor
    captions: list[str]
    generated: str | None = None
    retrieved: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        lines = [f"**{self.domain}** · {' / '.join(self.captions)}"]
        if self.generated is not None:
            lines.append(f"generated: {self.generated or '(nothing)'}")
        lines += [f"{rank}. {text}" for rank, text in enumerate(self.retrieved, 1)]
        return "\n\n".join(lines)


@dataclass
class Validation:
    """What one validation found. ``vectors`` (N, E) are clip embeddings, in the order of ``ids`` and ``domains``."""

    scalars: dict[str, float]
    samples: list[Sample]
    vectors: Tensor
    ids: list[str]
    domains: list[str]


@torch.no_grad()
def validate(learner: Learner, batches: Iterable[Batch], num_samples: int = 0) -> Validation:
    """Measure ``learner`` on every batch, in evaluation mode; it leaves in the mode it came in.

    Scalars: what Meter makes of the objective's reports, and, where the model has a text encoder, retrieval in both
    directions between all clips and all their distinct captions, under ``audio_to_text/`` and ``text_to_audio/``.
    """
    training = learner.training
    learner.eval()
    model, meter = learner.model, Meter()
    vectors, ids, domains, captions, samples = [], [], [], [], []
    wanted = _Quota(num_samples)
    for batch in batches:
        batch = batch.to(model.device)
        loss, report = learner(batch)
        meter.add_batch(batch, loss, report)
        vectors.append(clip_vectors(model, batch.feats).cpu())
        samples += [_pick(batch, i) for i in range(len(batch)) if wanted.take(batch.domains[i])]
        ids += batch.ids
        domains += batch.domains
        captions += batch.captions
    scalars, vectors_NE = meter.means(), torch.cat(vectors)
    samples = wanted.trim(samples)
    if model.text_encoder is not None:
        scalars |= _retrieval(model, vectors_NE, captions, dict(zip(ids, range(len(ids)), strict=True)), samples)
    if model.text_decoder is not None:
        for sample in samples:
            feats = Padded(sample.feats[None], torch.tensor([len(sample.feats)])).to(model.device)
            sample.generated = model.generate(model.encode_audio(feats))[0]
    learner.train(training)
    return Validation(scalars, samples, vectors_NE, ids, domains)


def clip_vectors(model: AudioTextModel, feats: Padded) -> Tensor:
    """One vector per clip (B, E): in the space shared with text where there is one, else the mean encoder frame."""
    if model.text_encoder is not None:
        return model.embed_audio(feats)
    output: EncoderOutput = model.encode_audio(feats)
    weight = output.mask()[..., None].to(output.frames.dtype)
    return (output.frames * weight).sum(1) / weight.sum(1).clamp(min=1)


def _pick(batch: Batch, i: int) -> Sample:
    feats = batch.feats.data[i, : int(batch.feats.lengths[i])].float().cpu().clone()
    return Sample(batch.ids[i], batch.domains[i], feats, list(batch.captions[i]))


class _Quota:
    """Chooses the first clips of each domain, and in the end ``total`` of them, domains taking turns."""

    def __init__(self, total: int):
        self.total = total
        self._taken: dict[str, int] = {}

    def take(self, domain: str) -> bool:
        taken = self._taken.get(domain, 0)
        self._taken[domain] = min(taken + 1, self.total)
        return taken < self.total

    def trim(self, samples: list[Sample]) -> list[Sample]:
        turn: dict[str, int] = {}
        ranked = []
        for sample in samples:
            turn[sample.domain] = turn.get(sample.domain, 0) + 1
            ranked.append((turn[sample.domain], sample.domain, sample.id, sample))
        return [entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:3])[: self.total]]


def _retrieval(
    model: AudioTextModel, audio_NE: Tensor, captions: list[list[str]], row: dict[str, int], samples: list[Sample]
) -> dict[str, float]:
    """Metrics of both directions; fills in what each sample retrieves."""
    texts = sorted({caption for clip in captions for caption in clip})
    column = {text: j for j, text in enumerate(texts)}
    chunks = [texts[i : i + 256] for i in range(0, len(texts), 256)]
    text_ME = torch.cat([model.embed_text(chunk).cpu() for chunk in chunks])
    similarity_NM = similarities(audio_NE, text_ME)
    relevance_NM = torch.zeros_like(similarity_NM, dtype=torch.bool)
    for i, clip in enumerate(captions):
        relevance_NM[i, [column[caption] for caption in clip]] = True
    for sample in samples:
        best = similarity_NM[row[sample.id]].topk(min(5, len(texts))).indices.tolist()
        sample.retrieved = [texts[j] for j in best]
    metrics = retrieval_metrics(similarity_NM, relevance_NM)
    return {f"{way}/{name}": scores[name] for way, scores in metrics.items() for name in SHOWN}
