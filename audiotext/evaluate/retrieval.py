"""Text-to-audio and audio-to-text retrieval on held-out clips, with any number of captions per clip."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from audiotext.config import to_tree
from audiotext.evaluate.context import Context
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.items import Items, Sample
from audiotext.evaluate.lit import LitConfig, ModelSpace, Space, Texts, lit_settings, lit_space, space_ranks
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol
from audiotext.metric.ranking import Ranks
from audiotext.metric.retrieval import query_scores, scores_of
from audiotext.metric.retrieval_compat import DIFFERENCES, compat_scores

LOG = logging.getLogger(__name__)


@EVALUATIONS.register("retrieval")
@dataclass
class Retrieval(Evaluation):
    """Cosine similarity of every held-out clip with every held-out caption that is its own.

    ``direct`` scores the model's own shared space where it has one; ``lit`` a text side trained on the frozen
    encoder, the same for every model, so that encoders of any objective compare.
    """

    manifest: str = "heldout"
    description: str = ""
    max_clips_per_text: int | None = 1
    """Leave out texts that more clips carry: a label says which kind of clip it is, not which clip. Null keeps all."""
    lit: LitConfig = field(default_factory=LitConfig)
    lit_for_all: bool = True
    """Train the text side also where the model has its own."""
    compat: list[Literal["laion", "auden"]] = field(default_factory=list)
    """Report beside the scores what these code bases would have reported, to compare with their published numbers."""
    seeds: list[int] = field(default_factory=lambda: [0])

    def settings(self, context: Context) -> dict:
        tree = to_tree(self)
        return tree | ({"lit": lit_settings(self.lit, context)} if self._wants_lit(context) else {})

    def protocol(self, context: Context) -> Protocol:
        names = (self.lit.train, self.lit.select) if self._wants_lit(context) else ()
        select_on = tuple(clip.id for name in names for clip in context.clips(name))
        report_on = tuple(clip.id for clip in context.clips(self.manifest) if clip.captions)
        text = (
            f"every clip against every distinct caption that at most {self.max_clips_per_text or 'any number of'} "
            "clip(s) carry after normalisation; lit: text side trained on "
            f"{self.lit.train}, epoch chosen on {self.lit.select}"
        )
        return Protocol("retrieval", text, select_on, report_on, (self.manifest, *names))

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        frames = context.frames(self.manifest).select(protocol.report_on)
        every, texts = Texts.of(frames.clips), Texts.of(frames.clips, self.max_clips_per_text)
        spaces = spaces_of(context, self.lit, self.seeds, self._wants_lit(context))
        ranks = {name: [space_ranks(space, frames, texts) for space in members] for name, members in spaces.items()}
        runs = {name: [{w: scores_of(r) for w, r in run.items()} for run in found] for name, found in ranks.items()}
        scores = {name: average(trees) for name, trees in runs.items()}
        for name, tree in scores.items():
            recalls = ", ".join(f"{way} R@10 {tree[way]['R@10']:.3f}" for way in tree)
            LOG.info("retrieval (%s): %s", name, recalls)
        details = {
            "clips": len(frames),
            "captions": sum(len(clip.captions) for clip in frames.clips),
            "distinct_captions": len(every.texts),
            "distinct_captions_of_several_clips": int((every.pairs[:, 1].bincount() > 1).sum()),
            "captions_scored": len(texts.texts),
            "clips_without_a_scored_caption": len(frames) - len(texts.pairs[:, 0].unique()),
            "runs": runs,
        }
        if self.compat:
            details["compat"] = {mode: _compat(mode, spaces, frames) for mode in self.compat}
        shown = shown_pooling(scores, context, self.lit)
        items = {k: v for name, found in ranks.items() for k, v in query_samples(name, found, frames, texts).items()}
        return Outcome(scores, details, shown, len(protocol.report_on), len(frames), items)

    def _wants_lit(self, context: Context) -> bool:
        return self.lit_for_all or context.model.text_encoder is None


def spaces_of(context: Context, lit: LitConfig, seeds: list[int], wants_lit: bool) -> dict[str, list[Space]]:
    """The spaces a model is scored in: ``direct``, its own, and ``lit``, one trained per seed."""
    spaces: dict[str, list[Space]] = {}
    if context.model.text_encoder is not None:
        spaces["direct"] = [ModelSpace(context.model)]
    if wants_lit:
        spaces["lit"] = [lit_space(replace(lit, seed=seed), context) for seed in seeds]
    return spaces


def shown_pooling(spaces: Iterable[str], context: Context, lit: LitConfig) -> str:
    """How each space pools frames, as results say it."""
    poolings = {"direct": context.model.config.pooling, "lit": lit.pooling}
    return ", ".join(f"{name}: {type(poolings[name]).part_name}" for name in spaces)


def query_samples(space: str, runs: list[dict[str, Ranks]], frames: FrozenFrames, texts: Texts) -> dict[str, Sample]:
    """What every query scored in one space, by ``space/direction/score``; queries of one family are drawn together."""
    family = [clip.family for clip in frames.clips]
    of_text = dict(reversed([(text, family[clip]) for clip, text in texts.pairs.tolist()]))
    samples = {}
    for way in runs[0]:
        asked = runs[0][way].counts.nonzero()[:, 0].tolist()
        if way == "audio_to_text":
            items = Items.of([frames.ids[i] for i in asked], [family[i] for i in asked])
        else:
            items = Items.of([texts.texts[i] for i in asked], [of_text[i] for i in asked])
        each = [query_scores(run[way]) for run in runs]
        for name in each[0]:
            columns = [{"value": scores[name].float().numpy()} for scores in each]
            key = f"{space}/{way}/" + ("median_rank" if name == "rank" else name)
            samples[key] = Sample(items, columns, "median" if name == "rank" else "mean")
    return samples


def _compat(mode: str, spaces: dict[str, list[Space]], frames: FrozenFrames) -> dict:
    """The scores of a mode by space and direction, every caption row on its own, and how they differ from ours."""
    texts = Texts.rows(frames.clips)
    found: dict = {"differs": DIFFERENCES[mode]}
    for name, members in spaces.items():
        runs = [space_ranks(space, frames, texts) for space in members]
        found[name] = average([{way: compat_scores(mode, ranks) for way, ranks in run.items()} for run in runs])
    return found


def average(trees: list) -> dict | float:
    """Mean over equal trees of numbers."""
    if isinstance(trees[0], dict):
        return {key: average([tree[key] for tree in trees]) for key in trees[0]}
    return sum(trees) / len(trees)
