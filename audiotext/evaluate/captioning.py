"""Captioning with the encoder frozen: a small decoder is trained on its frames, and its captions are scored.

Every model gets the same decoder, so that scores compare encoders; a model pretrained with a text decoder is also
scored as it is (``direct``). Two baselines that use no encoder stand beside them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from audiotext.config import part
from audiotext.data.manifest import read_manifest
from audiotext.evaluate.baseline import most_frequent, nearest_captions
from audiotext.evaluate.caption_scoring import fewer_references, reference_counts, score_sets
from audiotext.evaluate.context import Context
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.items import Items
from audiotext.evaluate.language import LANGUAGE_MODELS, Example, LanguageModel, train_decoder
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol
from audiotext.metric.caption import caption_scores
from audiotext.metric.caption_tools import require, tool_protocol, tool_versions
from audiotext.text.clean import normalise
from audiotext.text.search import Nucleus

LOG = logging.getLogger(__name__)
DESCRIPTION = (
    "Encoder frozen. The same adapter and language model ({language.words}) are trained on whole-clip frames "
    "(standardised over training) of {train}, one caption per clip and visit drawn at random; the epoch is chosen by "
    "greedy CIDEr-D on {valid}; {test} is captioned once, greedily and with beam {beam}{sampled}. 'direct' is the "
    "model's own decoder where pretraining gave one. "
    "References: every caption of the clip but those of the styles left out ({styles}). Texts are normalised (NFKC, "
    "lower case, punctuation to spaces) and split at spaces, for every score; published ones are often taken on Penn "
    "Treebank tokens. BLEU, ROUGE-L and CIDEr-D are those of the COCO caption tools (document frequencies from the "
    "references); METEOR (exact+stem) is an approximation without synonyms and paraphrases. {tools}Baselines: the most "
    "frequent caption of training; the first caption of the training clip nearest by the mean and standard deviation "
    "of its log-mel energies."
)


@EVALUATIONS.register("captioning")
@dataclass
class CaptioningTask(Evaluation):
    """Which captions count, what is trained, and how captions are searched."""

    train: str = "pretrain"
    valid: str = "valid"
    test: str = "heldout"
    leave_out_styles: list[str] = field(default_factory=lambda: ["transcript", "translation"])
    """Caption styles that are neither targets nor references: a model of sound cannot guess words that were spoken."""
    language: Any = part(LANGUAGE_MODELS, "decoder")
    beam: int = 4
    nucleus: Nucleus | None = None
    """Captions are drawn as well, by nucleus sampling."""
    batch_size: int = 64
    """Clips that are captioned at a time."""
    examples: int = 12
    """Test clips whose captions are kept in the result file."""
    seeds: list[int] = field(default_factory=lambda: [0])
    tools: list[Literal["meteor", "spice", "spider", "fense"]] = field(default_factory=list)
    """Scores by others' programs, which must be there: Java and the extra [coco]; for FENSE the extra [fense]."""

    def captions(self, context: Context, manifest: str) -> dict[str, list[str]]:
        """Normalised captions of allowed styles, no repeats, of every clip that has one."""
        found = {}
        for cut in read_manifest(context.manifest_path(manifest)):
            custom = (cut.supervisions[0].custom or {}) if cut.supervisions else {}
            texts = custom.get("caption") or []
            styles = custom.get("caption_style") or [""] * len(texts)
            kept = [normalise(t) for t, s in zip(texts, styles, strict=True) if s not in self.leave_out_styles]
            if kept := list(dict.fromkeys(filter(None, kept))):
                found[cut.id] = kept
        return found

    def protocol(self, context: Context) -> Protocol:
        deciding = [*self.captions(context, self.train), *self.captions(context, self.valid)]
        styles = ", ".join(self.leave_out_styles) or "none"
        tools = f"{told} " if (told := tool_protocol(self.tools)) else ""
        sampled = f", and drawn once a seed by nucleus sampling, top-p {self.nucleus}" if self.nucleus else ""
        words = {"styles": styles, "tools": tools, "sampled": sampled}
        return Protocol(
            task="captioning",
            description=DESCRIPTION.format(**vars(self) | words),
            select_on=tuple(deciding),
            report_on=tuple(self.captions(context, self.test)),
            manifests=(self.train, self.valid, self.test),
        )

    def searches(self, seed: int = 0) -> dict[str, dict[str, Any]]:
        """Name of each way in which captions are written -> options of ``generate``; draws differ by ``seed``."""
        found: dict[str, dict[str, Any]] = {"greedy": {"beam": 1}, "beam": {"beam": self.beam}}
        if self.nucleus is not None:
            found["nucleus"] = {"nucleus": replace(self.nucleus, seed=self.nucleus.seed + seed)}
        return found

    def settings(self, context: Context) -> dict:
        return super().settings(context) | self.language.facts(context)

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        require(self.tools)
        captions = {name: self.captions(context, name) for name in (self.train, self.valid, self.test)}
        raw = {name: context.frames(name).select(captions[name]) for name in captions}
        captions[self.train] = {i: captions[self.train][i] for i in raw[self.train].ids}  # the others cannot be read
        scale = raw[self.train].scale()
        frames = {name: found.standardised(*scale) for name, found in raw.items()}
        ids = frames[self.test].ids
        references = [captions[self.test][i] for i in ids]
        trained: dict[str, list[list[str]]] = {search: [] for search in self.searches()}
        chosen = []
        for seed in self.seeds:
            decoder, report = self._train(context, frames, captions, seed)
            chosen.append({"seed": seed, "epoch": report.best_epoch, "valid_cider_d": report.best_score})
            for search, options in self.searches(seed).items():
                texts = decoder.generate(frames[self.test], range(len(ids)), batch=self.batch_size, **options)
                trained[search].append(texts)
        said = {"trained": trained, "baseline": self._baselines(context, captions, ids)}
        direct = self._direct(context, raw[self.test])
        said |= {"direct": direct} if direct else {}
        clips = Items.of(ids, [clip.family for clip in frames[self.test].clips])
        scores, items = score_sets(said, references, clips, self.tools)
        shown = {f"trained_{k}": v[0] for k, v in trained.items()} | {f"direct_{k}": v[0] for k, v in direct.items()}
        shown |= {name: runs[0] for name, runs in said["baseline"].items()}
        details = {
            "chosen": chosen,
            "beam": self.beam,
            **({"nucleus": str(self.nucleus)} if self.nucleus else {}),
            "references_per_clip": sum(map(len, references)) / len(references),
            "references": self._reference_counts(context, captions[self.test]),
            "training_clips": len(frames[self.train]),
            "examples": examples(ids, references, shown, self.examples),
        }
        found = {"expected": len(protocol.report_on), "found": len(ids), "versions": tool_versions(self.tools)}
        return Outcome(scores, details, items=items, **found)

    def _reference_counts(self, context: Context, captions: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """How many test clips have 0, 1, ... references; a warning names those with fewer than most have."""
        texts = {clip.id: captions.get(clip.id, ()) for clip in context.clips(self.test)}
        counts = reference_counts(texts)
        if told := fewer_references(counts):
            least = min((i for i in texts if texts[i]), key=lambda i: len(texts[i]))
            LOG.warning("%s: %s; fewest: %s", context.manifest_path(self.test), told, least)
        return counts

    def _train(
        self, context: Context, frames: dict[str, FrozenFrames], captions: dict[str, dict[str, list[str]]], seed: int
    ):
        train, valid = frames[self.train], frames[self.valid]
        targets = [captions[self.train][i] for i in train.ids]
        references = [captions[self.valid][i] for i in valid.ids]

        def draw(item: int, generator: torch.Generator) -> Example:
            choice = int(torch.randint(len(targets[item]), (), generator=generator))
            return Example(item, targets[item][choice])

        def score(decoder: LanguageModel) -> float:
            said = decoder.generate(valid, range(len(valid)), batch=self.batch_size)
            return caption_scores(said, references)["cider_d"]

        label = f"{context.name}: captioning"
        return train_decoder(self.language, self.language.tokenizer(context), train, draw, score, seed, label)

    def _direct(self, context: Context, frames: FrozenFrames) -> dict[str, list[list[str]]]:
        """Captions by the model's own decoder, from its frames as they are; none where it has no decoder."""
        if context.model.text_decoder is None:
            return {}
        order = sorted(range(len(frames)), key=frames.lengths.__getitem__)
        said: dict[str, list[list[str]]] = {}
        with torch.no_grad():
            for search, options in self.searches().items():
                texts = [""] * len(frames)
                for start in range(0, len(order), self.batch_size):
                    rows = order[start : start + self.batch_size]
                    options |= {"max_tokens": self.language.max_tokens, "numbers": rows}
                    found = context.model.generate(frames.output(rows), **options)
                    for i, text in zip(rows, found, strict=True):
                        texts[i] = text
                said[search] = [texts]
        return said

    def _baselines(
        self, context: Context, captions: dict[str, dict[str, list[str]]], ids: Sequence[str]
    ) -> dict[str, list[list[str]]]:
        common = most_frequent(text for texts in captions[self.train].values() for text in texts)
        train = [c for c in read_manifest(context.manifest_path(self.train)) if c.id in captions[self.train]]
        test = {c.id: c for c in read_manifest(context.manifest_path(self.test)) if c.id in set(ids)}
        near = nearest_captions(train, [test[i] for i in ids], captions[self.train])
        return {"most_frequent": [[common] * len(ids)], "nearest_log_mel": [near]}


def examples(
    ids: Sequence[str], references: Sequence[Sequence[str]], said: dict[str, list[str]], count: int
) -> list[dict]:
    """``count`` clips spread evenly over the set, with their references and what each method said."""
    step = max(1, len(ids) // max(count, 1))
    return [
        {"id": ids[i], "references": list(references[i]), **{name: texts[i] for name, texts in said.items()}}
        for i in list(range(0, len(ids), step))[:count]
    ]
