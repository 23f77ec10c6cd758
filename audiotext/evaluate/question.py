"""Open-form question answering: frozen frames through an adapter into a language model trained or adapted here.

The question is the prompt, the answer is generated freely. The baseline answers blind: the commonest training answer
to each question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from audiotext.config import ConfigError, part
from audiotext.evaluate.baseline import blind_answers
from audiotext.evaluate.context import Context
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.items import Items, Sample
from audiotext.evaluate.language import LANGUAGE_MODELS, Example, LanguageModel, train_decoder
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation, Outcome, Protocol, over_seeds
from audiotext.metric.answer import exact_match, token_f1
from audiotext.text.clean import normalise

DESCRIPTION = (
    "Encoder frozen. An adapter over whole-clip frames (standardised over training) and a language model "
    "({language.words}) are trained on {train}, one question per clip and visit drawn at random, the question as "
    "prompt and the loss on the answer; the epoch is chosen by exact match on {valid}; {test} is answered once, "
    "freely. Exact match and token F1 as in SQuAD, on normalised text without articles; an empty answer is wrong, and "
    "counted. The blind baseline gives "
    "the commonest training answer to each question."
)


@dataclass(frozen=True)
class Asked:
    """One question about one clip, as published; ``clip`` is the clip's id.

    kinds: groups that are scored apart. choices: the answers to choose from, where they are given. about: what is known
    of the clip, for a judge that cannot listen.
    """

    clip: str
    question: str
    answer: str
    kinds: tuple[str, ...]
    choices: tuple[str, ...] = ()
    about: str = ""

    @property
    def plain(self) -> tuple[str, str]:
        """Question and answer, normalised."""
        return normalise(self.question), normalise(self.answer)


Metric = Callable[[Asked, str], float]
ANSWER_METRICS: dict[str, Metric] = {
    "exact_match": lambda asked, said: exact_match(normalise(said), asked.plain[1]),
    "token_f1": lambda asked, said: token_f1(normalise(said), asked.plain[1]),
}


@EVALUATIONS.register("question")
@dataclass
class QuestionTask(Evaluation):
    """Which clips are asked about and what is trained."""

    metrics: ClassVar[Mapping[str, Metric]] = ANSWER_METRICS
    description: ClassVar[str] = DESCRIPTION
    train: str = "pretrain"
    valid: str = "valid"
    test: str = "heldout"
    language: Any = part(LANGUAGE_MODELS, "decoder")
    beam: int = 1
    batch_size: int = 128
    """Questions that are answered at a time."""
    examples: int = 12
    """Questions whose answers are kept in the result file; 0 for all, as a judge needs them."""
    seeds: list[int] = field(default_factory=lambda: [0])

    def asked(self, context: Context, manifest: str) -> list[Asked]:
        """Every question of a manifest. Raises ConfigError naming the clip where one lacks its question or answer."""
        found = []
        for clip in context.clips(manifest):
            for entry in clip.questions:
                try:
                    question, answer = entry["question"].strip(), entry["answer"].strip()
                    choices = tuple(choice.strip() for choice in entry.get("choices") or ())
                except (KeyError, TypeError, AttributeError):
                    where = f"{context.manifest_path(manifest)}: {clip.id}: got {entry!r}"
                    raise ConfigError(f"{where}; a question needs the texts 'question' and 'answer'") from None
                kinds = self.kinds(entry)
                found.append(Asked(clip.id, question, answer, kinds, choices, entry.get("about") or ""))
        return found

    def kinds(self, entry: Mapping[str, Any]) -> tuple[str, ...]:
        """The groups that a question of a manifest is scored with."""
        return (entry.get("kind") or question_kind(normalise(entry["question"]), normalise(entry["answer"])),)

    def prompt(self, asked: Asked) -> str:
        """What the language model reads of a question."""
        return asked.question

    def answers(self, model: LanguageModel, frames: FrozenFrames, asked: Sequence[Asked]) -> dict[str, list[str]]:
        """One answer to each question by the name of the way it was given in; ``trained`` is freely."""
        return {"trained": self._freely(model, frames, asked)}

    def floors(self, train: Sequence[Asked], test: Sequence[Asked]) -> dict[str, list[str]]:
        """Answers that need no encoder."""
        known = blind_answers(a.plain for a in train)
        return {"blind": [known.get(a.plain[0], known[""]) for a in test]}

    def protocol(self, context: Context) -> Protocol:
        asked = {name: self.asked(context, name) for name in (self.train, self.valid, self.test)}
        for name, questions in asked.items():
            if not questions:
                raise ConfigError(f"{context.manifest_path(name)}: none of its clips carries a question")
        return Protocol(
            task=type(self).part_name,
            description=self.description.format(**vars(self)),
            select_on=tuple(dict.fromkeys(a.clip for name in (self.train, self.valid) for a in asked[name])),
            report_on=tuple(dict.fromkeys(a.clip for a in asked[self.test])),
            manifests=(self.train, self.valid, self.test),
        )

    def settings(self, context: Context) -> dict:
        return super().settings(context) | self.language.facts(context)

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        asked = {name: self.asked(context, name) for name in (self.train, self.valid, self.test)}
        raw = {name: context.frames(name).select(dict.fromkeys(a.clip for a in q)) for name, q in asked.items()}
        scale = raw[self.train].scale()
        frames = {name: found.standardised(*scale) for name, found in raw.items()}
        for name, found in frames.items():
            present = set(found.ids)
            asked[name] = [a for a in asked[name] if a.clip in present]
        test = asked[self.test]
        said: dict[str, list[list[str]]] = defaultdict(list)
        chosen = []
        for seed in self.seeds:
            model, report = self._train(context, frames, asked, seed)
            chosen.append({"seed": seed, "epoch": report.best_epoch, "valid_exact_match": report.best_score})
            for way, answers in self.answers(model, frames[self.test], test).items():
                said[way].append(answers)
        said |= {name: [answers] for name, answers in self.floors(asked[self.train], test).items()}
        details = {
            "chosen": chosen,
            "questions": {kind: len(found) for kind, found in by_kind(test).items() if kind != "all"},
            "asked": len(test),
            "training_questions": len(asked[self.train]),
            "empty_answers": {way: sum(not a.strip() for a in runs[0]) for way, runs in said.items()},
            "examples": example_rows(test, {way: runs[0] for way, runs in said.items()}, self.examples),
        }
        scores: dict[str, Any] = {}
        items: dict[str, Sample] = {}
        for way, runs in said.items():
            scores[way] = over_kinds([answer_scores(test, run, self.metrics) for run in runs])
            items |= answer_samples(way, test, runs, self.metrics)
        expected, found = len(protocol.report_on), len(frames[self.test])
        prompt = self.prompt(Asked("", "{question}", "", (), ("{choices}",)))
        prompts = {"question": [getattr(self.language, "template", "{prompt}").replace("{prompt}", prompt)]}
        return Outcome(scores, details, expected=expected, found=found, items=items, prompts=prompts)

    def _train(self, context: Context, frames: dict[str, FrozenFrames], asked: dict[str, list[Asked]], seed: int):
        choices = defaultdict(list)
        for a in asked[self.train]:
            choices[a.clip].append((a.answer, self.prompt(a)))
        by_item = [choices[i] for i in frames[self.train].ids]

        def draw(item: int, generator: torch.Generator) -> Example:
            return Example(item, *by_item[item][int(torch.randint(len(by_item[item]), (), generator=generator))])

        def score(model: LanguageModel) -> float:
            said = self._freely(model, frames[self.valid], asked[self.valid])
            return answer_scores(asked[self.valid], said)["all"]["exact_match"]

        label = f"{context.name}: questions"
        tokenizer = self.language.tokenizer(context)
        return train_decoder(self.language, tokenizer, frames[self.train], draw, score, seed, label)

    def _freely(self, model: LanguageModel, frames: FrozenFrames, asked: Sequence[Asked]) -> list[str]:
        prompts = [self.prompt(a) for a in asked]
        return model.generate(frames, places(frames, asked), prompts, self.beam, self.batch_size)


def places(frames: FrozenFrames, asked: Sequence[Asked]) -> list[int]:
    """Where the clip of each question stands among ``frames``."""
    position = {id_: i for i, id_ in enumerate(frames.ids)}
    return [position[a.clip] for a in asked]


def question_kind(question: str, answer: str) -> str:
    """``yes or no`` by the answer, else the first three words of the question."""
    return "yes or no" if answer in ("yes", "no") else " ".join(question.split()[:3])


def by_kind(asked: Sequence[Asked]) -> dict[str, list[int]]:
    """Numbers of the questions of each kind; ``all`` comes first."""
    rows: dict[str, list[int]] = {"all": list(range(len(asked)))}
    for i, a in enumerate(asked):
        for kind in a.kinds:
            rows.setdefault(kind, []).append(i)
    return rows


def answer_scores(
    asked: Sequence[Asked], answers: Sequence[str], metrics: Mapping[str, Metric] = ANSWER_METRICS
) -> dict[str, dict[str, float]]:
    """Every metric over all questions (``all``) and over each kind of question."""
    each = {name: [metric(a, said) for a, said in zip(asked, answers, strict=True)] for name, metric in metrics.items()}
    return {
        kind: {name: sum(values[i] for i in rows) / len(rows) for name, values in each.items()}
        for kind, rows in by_kind(asked).items()
    }


def answer_samples(
    way: str,
    asked: Sequence[Asked],
    runs: Sequence[Sequence[str]],
    metrics: Mapping[str, Metric] = ANSWER_METRICS,
) -> dict[str, Sample]:
    """What each question scored, by ``way/kind/score``; the questions about one clip are drawn together."""
    samples = {}
    for kind, rows in by_kind(asked).items():
        items = Items.of([f"{asked[i].clip}: {asked[i].question}" for i in rows], [asked[i].clip for i in rows])
        for name, metric in metrics.items():
            columns = [{"value": np.array([metric(asked[i], said[i]) for i in rows], np.float32)} for said in runs]
            samples[f"{way}/{kind}/{name}"] = Sample(items, columns)
    return samples


def example_rows(asked: Sequence[Asked], said: Mapping[str, Sequence[str]], count: int) -> list[dict[str, Any]]:
    """``count`` questions spread evenly over the set (0: every one) and what each way answered."""
    step = max(1, len(asked) // count) if count else 1
    return [
        {"id": a.clip, "question": a.question, "answer": a.answer}
        | ({"kinds": list(a.kinds)} if a.kinds else {})
        | ({"choices": list(a.choices)} if a.choices else {})
        | ({"about": a.about} if a.about else {})
        | {way: answers[i] for way, answers in said.items()}
        for i, a in list(enumerate(asked))[::step][: count or None]
    ]


def over_kinds(runs: Sequence[dict[str, dict[str, float]]]) -> dict:
    """``over_seeds`` for each kind of question."""
    return {kind: over_seeds([run[kind] for run in runs]) for kind in runs[0]}
