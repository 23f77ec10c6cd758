"""Multiple-choice questions: answered freely and scored as MMAU does, or by which choice is the likeliest answer.

Where the corpus has nothing to train on, the language model is trained on the questions of another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from audiotext.config import ConfigError
from audiotext.evaluate.context import Context
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.language import Example, LanguageModel
from audiotext.evaluate.protocol import EVALUATIONS, Outcome, Protocol
from audiotext.evaluate.question import Asked, Metric, QuestionTask, by_kind, places
from audiotext.metric.choice import choice_match, tokens

DESCRIPTION = (
    "Encoder frozen. An adapter over whole-clip frames (standardised over training) and a language model "
    "({language.words}) are trained on {train}, the question as prompt and the loss on the answer; the epoch is chosen "
    "by exact match on {valid}; both may be of another corpus than {test}, of which nothing is then trained on. "
    "'trained': {test} is answered "
    "freely and the answer is matched to the choices as MMAU does (all tokens of the right choice, none that only "
    "wrong choices have); the choices are part of the prompt: {with_choices}. 'likelihood': the choice of the highest "
    "mean log-probability a token, its end included; among equals the wrong one. 'deaf': the same with the training "
    "mean in the place of every frame, which tells how far words alone go. 'chance': one over the number of choices."
)
ACCURACY = "choice_accuracy"


def _matched(asked: Asked, said: str) -> float:
    return float(choice_match(said, asked.answer, asked.choices))


@EVALUATIONS.register("choice")
@dataclass
class ChoiceTask(QuestionTask):
    """Which clips are asked about, what is trained, and by what accuracy is told apart."""

    metrics: ClassVar[Mapping[str, Metric]] = {ACCURACY: _matched}
    description: ClassVar[str] = DESCRIPTION
    by: list[str] = field(default_factory=lambda: ["task", "difficulty"])
    """Fields of a question by whose values accuracy is given too."""
    with_choices: bool = False
    """Name the choices in the prompt; a decoder that never met such a prompt in training is not helped by it."""

    def kinds(self, entry: Mapping[str, Any]) -> tuple[str, ...]:
        values = [entry[name] for name in self.by if isinstance(entry.get(name), str) and entry[name]]
        return tuple(dict.fromkeys(value.replace("/", " or ") for value in values))

    def prompt(self, asked: Asked) -> str:
        if not (self.with_choices and asked.choices):
            return asked.question
        return f"{asked.question} Choose one of: {'; '.join(asked.choices)}."

    def protocol(self, context: Context) -> Protocol:
        for a in self.asked(context, self.test):
            if tokens(a.answer) not in map(tokens, a.choices) or len(a.choices) < 2:
                raise ConfigError(
                    f"{context.manifest_path(self.test)}: {a.clip}: {a.question!r} needs two choices or more, its "
                    f"answer among them; got {list(a.choices)} and {a.answer!r}"
                )
        return super().protocol(context)

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        outcome = super().run(context, protocol)
        present = set(context.frames(self.test).ids)
        test = [a for a in self.asked(context, self.test) if a.clip in present]
        outcome.scores["chance"] = {
            kind: {ACCURACY: sum(1 / len(test[i].choices) for i in rows) / len(rows)}
            for kind, rows in by_kind(test).items()
        }
        return outcome

    def floors(self, train: Sequence[Asked], test: Sequence[Asked]) -> dict[str, list[str]]:
        return {}

    def answers(self, model: LanguageModel, frames: FrozenFrames, asked: Sequence[Asked]) -> dict[str, list[str]]:
        silent = frames.mapped(torch.zeros_like)
        likeliest = {"likelihood": self._likeliest(model, frames, asked), "deaf": self._likeliest(model, silent, asked)}
        return super().answers(model, frames, asked) | likeliest

    def _likeliest(self, model: LanguageModel, frames: FrozenFrames, asked: Sequence[Asked]) -> list[str]:
        examples = [
            Example(place, choice, self.prompt(a))
            for place, a in zip(places(frames, asked), asked, strict=True)
            for choice in a.choices
        ]
        values = iter(model.log_likelihood(frames, examples, self.batch_size))
        # of equals a wrong choice is picked
        return [max((next(values), not _matched(a, choice), choice) for choice in a.choices)[2] for a in asked]
