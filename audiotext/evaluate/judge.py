"""Open answers scored by a language model that judges them, after the chat protocol of AIR-Bench.

Q. Yang et al., "AIR-Bench: Benchmarking Large Audio-Language Models via Generative Comprehension", ACL 2024: the judge
reads what is heard, the question, the reference and the answer, without being told which is which, and gives both a
score of 1 to 10; then once more with the two swapped, since judges prefer the place and not only the answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audiotext.config import ConfigError
from audiotext.data.progress import progress
from audiotext.text.clean import rejection

PROMPT = """\
Two assistants were asked about a recording. You cannot hear it; this is what it holds:

{about}

The question was: {question}

Assistant 1 answered: {first}

Assistant 2 answered: {second}

Give each answer one overall score from 1 (worst) to 10 (best) for how helpful, relevant, correct and complete it is.
Judge by what the recording holds; the order of the two means nothing. Write one line that holds nothing but the score
of Assistant 1, a space, and the score of Assistant 2.
"""
PLACES = ("about", "question", "first", "second")
ORDERS = ("reference first", "answer first")
SCORES = re.compile(r"(\d{1,2}(?:\.\d+)?)[\s,]+(\d{1,2}(?:\.\d+)?)")
LEAST, MOST = 1.0, 10.0

Judge = Callable[[str], str]
"""Prompt -> what the judge says. An endpoint, or any function that asks a local model."""


class JudgeError(ValueError):
    """The judge cannot be asked; the message says why and what to do. What it said before is kept."""


@dataclass(frozen=True)
class Answer:
    """One answer to judge. id: of clip and question. about: what the recording holds, in words. kind: its group."""

    id: str
    about: str
    question: str
    reference: str
    answer: str
    kind: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the judge said once. scores: of reference and answer; None where ``problem`` says why there are none."""

    key: str
    id: str
    order: str
    said: str
    scores: tuple[float, float] | None
    problem: str = ""


def ask(template: str, answer: Answer, order: str) -> str:
    """The prompt for one answer in one order. Raises ConfigError where ``template`` lacks a place."""
    if lacking := [name for name in PLACES if f"{{{name}}}" not in template]:
        raise ConfigError(f"the judge's prompt lacks {', '.join(f'{{{name}}}' for name in lacking)}")
    both = (answer.reference, answer.answer)
    first, second = both if order == ORDERS[0] else both[::-1]
    given = {"about": answer.about, "question": answer.question, "first": first, "second": second}
    # in one pass: an answer that holds {second} stays as it is
    return re.sub(r"\{(about|question|first|second)\}", lambda place: given[place[1]], template)


def read_verdict(said: str, order: str) -> tuple[tuple[float, float] | None, str]:
    """Scores of reference and answer, or None and what is wrong: ``empty``, ``refusal`` or ``unparsable``.

    The verdict must be two numbers from 1 to 10 and nothing else, as it was asked for: of a longer text nobody knows
    which of its numbers are meant.
    """
    if not said.strip():
        return None, "empty"
    found = SCORES.fullmatch(said.strip())
    scores = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not all(LEAST <= s <= MOST for s in scores):
        return None, "refusal" if rejection(said) == "refusal" else "unparsable"
    return (scores if order == ORDERS[0] else scores[::-1]), ""


class Store:
    """Verdicts in a file of JSON lines, each written and synced as it comes: whoever stops and starts again goes on."""

    def __init__(self, path: Path):
        self.path = path
        self.verdicts: dict[str, Verdict] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._read()
        self._file = path.open("ab")
        self._file.truncate(whole)  # a line that was cut off by a crash

    def _read(self) -> int:
        """Fills ``verdicts``; the number of bytes up to the end of the last whole line."""
        whole = 0
        for number, line in enumerate(self.path.open("rb") if self.path.exists() else (), 1):
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            try:
                tree = json.loads(line)
                verdict = Verdict(**tree | {"scores": tuple(tree["scores"]) if tree["scores"] else None})
            except (ValueError, TypeError, KeyError) as error:
                raise JudgeError(f"{self.path}:{number}: not a verdict ({error}); take that line out") from None
            self.verdicts[verdict.key] = verdict
        return whole

    def add(self, verdict: Verdict) -> None:
        self.verdicts[verdict.key] = verdict
        self._file.write(json.dumps(asdict(verdict), ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def judge_answers(
    answers: Sequence[Answer], judge: Judge, name: str, store: Store, template: str = PROMPT, workers: int = 1
) -> list[tuple[Verdict, Verdict]]:
    """Both verdicts on every answer, in order. What ``store`` holds for the same judge and prompt is not asked again.

    Raises JudgeError where the judge cannot be asked, once what it said at the same time to others is stored.
    """
    asked = [(answer, order, ask(template, answer, order)) for answer in answers for order in ORDERS]
    keys = [hashlib.sha256(f"{name}\n{order}\n{prompt}".encode()).hexdigest() for _, order, prompt in asked]
    todo = {key: one for key, one in zip(keys, asked, strict=True) if key not in store.verdicts}
    for _ in progress(_ask_all(todo, judge, store, max(workers, 1)), len(todo), "verdicts"):
        pass
    found = [store.verdicts[key] for key in keys]
    return list(zip(found[::2], found[1::2], strict=True))


def _ask_all(todo: dict[str, tuple[Answer, str, str]], judge: Judge, store: Store, workers: int) -> Iterator[Verdict]:
    """Ask ``workers`` at a time; this thread alone writes."""

    def asked(prompt: str) -> str | Exception:
        try:
            return judge(prompt)
        except Exception as error:  # raised below, once what was said at the same time is kept
            return error

    keys = list(todo)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(keys), workers):
            batch = keys[start : start + workers]
            replies = list(pool.map(asked, [todo[key][2] for key in batch]))
            for key, said in zip(batch, replies, strict=True):
                if isinstance(said, Exception):
                    continue
                answer, order, _ = todo[key]
                verdict = Verdict(key, answer.id, order, said, *read_verdict(said, order))
                store.add(verdict)
                yield verdict
            for error in replies:
                if isinstance(error, Exception):
                    what = error if isinstance(error, JudgeError) else f"the judge fails with {error!r}"
                    kept = f"{len(store.verdicts)} verdicts are kept in {store.path}"
                    raise JudgeError(f"{what}; {kept}: the same command goes on") from error


@dataclass(frozen=True)
class Judged:
    """An answer's score and its reference's, each the mean of both orders."""

    answer: Answer
    score: float
    reference: float

    @property
    def won(self) -> float:
        return float(self.score > self.reference)


def usable(
    answers: Sequence[Answer], verdicts: Iterable[tuple[Verdict, Verdict]]
) -> tuple[list[Judged], dict[str, int]]:
    """Answers with a verdict in both orders, and how many verdicts were none, by kind of problem."""
    judged, problems = [], Counter()
    for answer, both in zip(answers, verdicts, strict=True):
        problems.update(v.problem for v in both if v.problem)
        if all(v.scores for v in both):
            references, scores = zip(*(v.scores for v in both), strict=True)
            judged.append(Judged(answer, sum(scores) / 2, sum(references) / 2))
    return judged, dict(problems)


def prompt_facts(template: str) -> dict[str, Any]:
    """What a result says of the prompt."""
    return {
        "prompt": template,
        "prompt_hash": hashlib.sha256(template.encode()).hexdigest()[:16],
        "orders": list(ORDERS),
    }
