"""Text-to-audio and audio-to-text retrieval on held-out clips, with any number of captions per clip."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from audiotext.config import to_tree
from audiotext.evaluate.context import Context
from audiotext.evaluate.lit import LitConfig, ModelSpace, Space, Texts, lit_settings, lit_space, space_scores
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol

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
        runs = {name: [space_scores(space, frames, texts) for space in members] for name, members in spaces.items()}
        scores = {name: average(trees) for name, trees in runs.items()}
        for name, tree in scores.items():
            recalls = ", ".join(f"{way} R@10 {tree[way]['R@10']:.3f}" for way in tree)
            LOG.info("retrieval (%s): %s", name, recalls)
        details = {
            "clips": len(frames),
            "captions": sum(len(clip.captions) for clip in frames.clips),
            "distinct_captions": len(every.texts),
            "distinct_captions_of_several_clips": int((every.relevance.sum(0) > 1).sum()),
            "captions_scored": len(texts.texts),
            "clips_without_a_scored_caption": int((~texts.relevance.any(1)).sum()),
            "runs": runs,
        }
        pooling = {"direct": type(context.model.config.pooling).part_name, "lit": type(self.lit.pooling).part_name}
        return Outcome(
            scores, details, ", ".join(f"{k}: {pooling[k]}" for k in scores), len(protocol.report_on), len(frames)
        )

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


def average(trees: list) -> dict | float:
    """Mean over equal trees of numbers."""
    if isinstance(trees[0], dict):
        return {key: average([tree[key] for tree in trees]) for key in trees[0]}
    return sum(trees) / len(trees)
