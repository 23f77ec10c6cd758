"""Tables of answers to questions: choices, and what a judge says."""

from __future__ import annotations

from collections.abc import Sequence

from audiotext.evaluate.results import Result, model_rank
from audiotext.evaluate.table import Column, Row, Score, Table

ANSWERED = {"trained": "free answer", "likelihood": "likeliest choice", "deaf": "likeliest choice, deaf"}
CHOICE_NOTE = (
    "Choice accuracy as MMAU scores it, over all questions and by group (number of questions). Deaf: every frame is "
    "the training mean, so that words alone decide; chance is one over the number of choices."
)
JUDGE_NOTE = (
    "Scores are 1 to 10, the mean of both orders; better: share of answers that the judge puts above the reference. "
    "Judged: answers with two usable verdicts out of those asked; the others are in no mean. Scores of two judges do "
    "not compare."
)


def choice_tables(results: Sequence[Result]) -> list[Table]:
    """One table for each task of multiple-choice questions, chance first."""
    tables = []
    for task, found in by_task(results, "choice").items():
        counts = found[0].details.get("questions", {})
        columns = [Column("all", "all")] + [Column(kind, f"{kind} ({n})") for kind, n in counts.items()]
        rows = [Row("chance", _cells(found[0], "chance", "choice_accuracy"), ranked=False)]
        for result in found:
            for way, words in ANSWERED.items():
                if way in result.scores:
                    cells = _cells(result, way, "choice_accuracy")
                    rows.append(Row(f"{result.model}, {words}", cells, ranked=way != "deaf"))
        tables.append(Table(f"Multiple choice: {task}", columns, rows, [CHOICE_NOTE]))
    return tables


def judge_tables(results: Sequence[Result]) -> list[Table]:
    """One table for each task and judge, with the reference answers' own score beside."""
    tables = []
    for task, found in by_task(results, "judge").items():
        kinds = list(found[0].scores["judged"])
        columns = [
            Column("judged", "judged", scale=1, digits=0, best=""),
            Column("asked", "asked", scale=1, digits=0, best=""),
            Column("reference", "reference, all", scale=1, digits=2, best=""),
            Column("win_rate", "better, all"),
            *(Column(kind, f"score, {kind}", scale=1, digits=2) for kind in kinds),
        ]
        rows = []
        for result in found:
            counts = result.details["judged"]
            cells: dict[str, Score | None] = {"judged": Score(counts["answers"]), "asked": Score(counts["asked"])}
            cells |= {name: result.score("judged", "all", name) for name in ("reference", "win_rate")}
            rows.append(Row(result.model, cells | _cells(result, "judged", "score")))
        tables.append(Table(f"Judged answers: {task}", columns, rows, [JUDGE_NOTE]))
    return tables


def by_task(results: Sequence[Result], kind: str) -> dict[str, list[Result]]:
    """The results of a kind by task, models in the order of the table."""
    found = sorted((r for r in results if r.kind == kind), key=lambda r: (r.task, model_rank(r.model)))
    return {task: [r for r in found if r.task == task] for task in dict.fromkeys(r.task for r in found)}


def _cells(result: Result, part: str, name: str) -> dict[str, Score | None]:
    return {kind: result.score(part, kind, name) for kind in result.scores[part]}
