"""From the answers in one result file to the result file of a judge."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audiotext.data.digest import file_sha256
from audiotext.evaluate.bootstrap import interval, resample, score
from audiotext.evaluate.items import Items, Kept, Sample, items_path, write_items
from audiotext.evaluate.judge import (
    PROMPT,
    Answer,
    Judge,
    Judged,
    JudgeError,
    Store,
    judge_answers,
    prompt_facts,
    usable,
)
from audiotext.evaluate.protocol import git_revision, ids_hash, peak_memory, versions, write_json
from audiotext.evaluate.results import NEEDED, protocol_id

ALL, AVERAGE = "all", "average"
DESCRIPTION = (
    "The answers of {task} ({way}), each judged twice by the language model {judge}, which reads what is known of the "
    "recording, the question, the reference and the answer, the two in either order, and scores both from 1 to 10; "
    "an answer's score is the mean of both orders. Answers without two usable verdicts are left out of every mean and "
    "counted. win_rate: share of answers scored above the reference. 'all' is the mean over answers, 'average' that "
    "over groups. After AIR-Bench (chat); its judge and its wording are another, so the numbers are not those of its "
    "table."
)


def judge_result(
    source: Path,
    judge: Judge,
    name: str,
    out: Path | None = None,
    way: str = "trained",
    template: str = PROMPT,
    workers: int = 4,
    facts: Mapping[str, Any] | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Judge the answers that ``source`` keeps and write ``out``; where it lies and what it holds.

    facts: what of the judge decides a verdict besides its name; they are part of the result's settings.
    Raises JudgeError where the file keeps no or not all answers, where no verdict is usable, or the judge is away.
    """
    began = time.monotonic()
    result = _read(source)
    answers = kept_answers(source, result, way)
    out = out or source.with_name(f"{source.stem}_judge_{re.sub('[^A-Za-z0-9.-]+', '-', name)}.json")
    with Store(out.with_suffix(".jsonl")) as store:
        verdicts = judge_answers(answers, judge, name, store, template, workers)
    judged, problems = usable(answers, verdicts)
    if not judged:
        raise JudgeError(
            f"{out.with_suffix('.jsonl')}: none of {len(answers)} answers has two usable verdicts: {problems}"
        )
    samples = {f"judged/{kind}/{score}": sample for kind, score, sample in _samples(judged)}
    resampled = resample(samples)
    write_items(items_path(out), Kept(samples, resampled))
    ids = [j.answer.id for j in judged]
    found = result | {
        "task": out.stem,
        "kind": "judge",
        "settings": {
            "of": result["settings"],
            "judge": {"model": name, "way": way, **prompt_facts(template), **(facts or {})},
        },
        "protocol": result["protocol"] | {"description": DESCRIPTION.format(task=source.stem, way=way, judge=name)},
        "ids_hash": ids_hash(a.id for a in answers),
        "scores": {"judged": _scores(samples)},
        "intervals": {key: interval(values) for key, values in resampled.items()},
        "items": {"file": items_path(out).name, "sha256": file_sha256(items_path(out))},
        "details": {
            "judged": {"asked": len(answers), "answers": len(ids), "unusable": problems},
            "empty_answers": sum(not a.answer.strip() for a in answers),
            "questions": {kind: len(rows) for kind, rows in _by_kind(judged).items() if kind not in (ALL, AVERAGE)},
            "verdicts": out.with_suffix(".jsonl").name,
            "answers_of": {"file": str(source), "sha256": file_sha256(source)},
        },
        "prompts": {"judge": [template]},
        "clips": result["clips"] | {"found": len({j.answer.id.partition(": ")[0] for j in judged})},
        "versions": versions(),
        "git_revision": git_revision(),
        "command": shlex.join(sys.argv),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.monotonic() - began, 2),
        "peak_memory_mb": peak_memory(),
    }
    found["protocol_id"] = protocol_id(found)
    write_json(out, found)
    return out, found


def _read(source: Path) -> dict[str, Any]:
    try:
        result = json.loads(source.read_text(encoding="utf-8"))
    except ValueError as error:
        raise JudgeError(f"{source}: cannot be read: {error}") from None
    if not isinstance(result, dict) or any(key not in result for key in NEEDED):
        raise JudgeError(f"{source}: not a result file of `audiotext evaluate`")
    return result


def kept_answers(source: Path, result: dict[str, Any], way: str) -> list[Answer]:
    """Every answer given in one way. Raises JudgeError where the file does not keep them all."""
    details = result.get("details", {})
    rows = details.get("examples", [])
    if not rows or way not in rows[0]:
        raise JudgeError(f"{source}: keeps no answers given {way!r}; is it of a question task?")
    if len(rows) != details.get("asked"):
        raise JudgeError(
            f"{source}: keeps {len(rows)} of {details.get('asked', '?')} answers; evaluate again with --set examples=0"
        )
    return [
        Answer(f"{row['id']}: {row['question']}", row.get("about", ""), row["question"], row["answer"], row[way],
               (row.get("kinds") or [""])[0])
        for row in rows
    ]  # fmt: skip


def _by_kind(judged: list[Judged]) -> dict[str, list[Judged]]:
    """Answers by group, after all of them; where there are groups, those to average over come last."""
    groups: dict[str, list[Judged]] = {ALL: judged}
    for j in judged:
        if j.answer.kind:
            groups.setdefault(j.answer.kind, []).append(j)
    return groups | ({AVERAGE: [j for j in judged if j.answer.kind]} if len(groups) > 1 else {})


def _columns(rows: list[Judged]) -> dict[str, np.ndarray]:
    values = {
        "score": [j.score for j in rows],
        "reference": [j.reference for j in rows],
        "win_rate": [j.won for j in rows],
    }
    return {name: np.array(column, np.float32) for name, column in values.items()}


def _scores(samples: Mapping[str, Sample]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for key, sample in samples.items():
        kind, _, name = key.removeprefix("judged/").rpartition("/")
        found.setdefault(kind, {})[name] = score(sample)
    return found


def _samples(judged: list[Judged]):
    for kind, rows in _by_kind(judged).items():
        items = Items.of([j.answer.id for j in rows], [j.answer.id.partition(": ")[0] for j in rows])
        groups = np.unique([j.answer.kind for j in rows], return_inverse=True)[1]
        parts = groups if kind == AVERAGE else None
        for name, column in _columns(rows).items():
            yield kind, name, Sample(items, [{"value": column}], parts=parts)
