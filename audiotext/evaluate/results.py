"""Result files read back: which there are, and that numbers which will stand in one column may."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotext.evaluate.items import read_items
from audiotext.evaluate.table import Score

if TYPE_CHECKING:
    import numpy as np

SHARE = " @ "  # between a probe and the part of the training data it saw: "mean @ 10%"
FLOOR, RANDOM = "floor", "random"
ORDER = (FLOOR, RANDOM, "contrastive", "captioning")
COMPARED = ("kind", "settings", "ids_hash", "protocol", "manifest_hashes")
NEEDED = ("task", "model", "model_hash", "scores", "clips", *COMPARED)


class ReportError(ValueError):
    """Results are missing, damaged or cannot be compared; the message says which files and what to do."""


@dataclass(frozen=True)
class Result:
    """One result file."""

    path: Path
    tree: dict[str, Any]

    @property
    def model(self) -> str:
        return self.tree["model"]

    @property
    def task(self) -> str:
        return self.tree["task"]

    @property
    def kind(self) -> str:
        return self.tree["kind"]

    @property
    def scores(self) -> dict[str, Any]:
        return self.tree["scores"]

    @cached_property
    def resampled(self) -> dict[str, np.ndarray]:
        """Resampled scores by path in ``scores``; none where the items were not kept.

        Raises ReportError where the items file is not there, or is that of another result.
        """
        kept = self.tree.get("items")
        if not kept:
            return {}
        path = self.path.with_name(kept["file"])
        try:
            if hashlib.sha256(path.read_bytes()).hexdigest() != kept["sha256"]:
                raise ReportError(f"{path}: not the items that {self.path} was scored on; evaluate again")
            return read_items(path).resampled
        except FileNotFoundError:
            raise ReportError(f"{path}: not there, but {self.path} was written with it; copy both") from None

    def score(self, *keys: str) -> Score | None:
        """The score at a path of the tree, with what resampling made of it; None where there is none."""
        tree: Any = self.scores
        for key in keys:
            tree = tree.get(key) if isinstance(tree, dict) else None
        if tree is None:
            return None
        return Score.of(tree, self.resampled.get("/".join(keys)), self.clips, self.tree.get("protocol_id", ""))

    def scores_below(self, *keys: str) -> dict[str, Score]:
        """Every score of a branch of the tree, by name."""
        tree: Any = self.scores
        for key in keys:
            tree = tree.get(key, {})
        return {name: self.score(*keys, name) for name in tree}

    @property
    def clips(self) -> tuple[int, int] | None:
        """How many were scored, and how many the protocol names; None where that is not said."""
        counts = self.tree.get("clips")
        return counts and (counts["found"], counts["expected"])

    @property
    def details(self) -> dict[str, Any]:
        return self.tree.get("details", {})

    @property
    def synthetic(self) -> bool:
        return bool(self.tree.get("synthetic"))

    @cached_property
    def protocol_parts(self) -> dict[str, str]:
        """What must agree before two scores may be compared, hashed part by part."""
        return protocol_parts(self.tree)

    @property
    def protocol_id(self) -> str:
        """Twelve hex digits; equal for scores that may stand in one column."""
        return protocol_id(self.tree)


def part_of(pooling: str, share: float) -> str:
    """The part of the scores that ``share`` per cent of the training data gave; inverse of ``share_of``."""
    return pooling if share == 100 else f"{pooling}{SHARE}{share:g}%"


def share_of(part: str) -> tuple[str, float]:
    """The probe that a part of its scores is of, and on how many per cent of the training clips it was trained."""
    name, _, share = part.partition(SHARE)
    return name, float(share.rstrip("%")) if share else 100.0


def protocol_parts(tree: dict[str, Any]) -> dict[str, str]:
    """The parts of a result that must agree before two scores may be compared, each hashed."""
    return {key: _hash(tree[key]) for key in COMPARED}


def protocol_id(tree: dict[str, Any]) -> str:
    """Twelve hex digits that name how a result came about, the model left out."""
    return _hash(protocol_parts(tree))[:12]


def _hash(tree: Any) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def read_runs(runs: Sequence[str | Path]) -> list[Result]:
    """The results of several folders, models in the order of the table; ``LABEL=FOLDER`` puts LABEL before its models'
    names. Raises ReportError as ``read_results`` does, and where two files score one model on one task."""
    results: dict[tuple[str, str], Result] = {}
    for run in map(str, runs):
        label, _, folder = ("", "", run) if Path(run).is_dir() else run.rpartition("=")
        for result in read_results(Path(folder)):
            if label:
                result = Result(result.path, result.tree | {"model": f"{label}/{result.model}"})
            first = results.setdefault((result.model, result.task), result)
            if first is not result and first.tree["scores"] != result.tree["scores"]:
                raise ReportError(
                    f"{first.path} and {result.path} are both {result.task} of {result.model!r} and differ; "
                    f"name one run: --results LABEL={folder}"
                )
    return sorted(results.values(), key=lambda r: (model_rank(r.model), r.task))


def read_results(folder: Path) -> list[Result]:
    """Every <model>/<task>.json below ``folder``, models in the order of the table.

    Raises ReportError where there is none or one cannot be read.
    """
    paths = sorted(folder.glob("*/*.json"))
    if not paths:
        raise ReportError(f"{folder}: no results (<model>/<task>.json) there; run `audiotext evaluate` first")
    results = []
    for path in paths:
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ReportError(f"{path}: cannot be read ({error}); delete it and evaluate again") from None
        lacking = [key for key in NEEDED if not isinstance(tree, dict) or key not in tree]
        if lacking:
            raise ReportError(f"{path}: not a result file, it lacks {', '.join(lacking)}; delete it and evaluate again")
        results.append(Result(path, tree))
    return sorted(results, key=lambda r: (model_rank(r.model), r.task))


def model_rank(name: str) -> tuple[int, str]:
    """Floors first, the models of the main recipe, then any others by name."""
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def models(results: Iterable[Result]) -> list[str]:
    return sorted({r.model for r in results}, key=model_rank)


def check_protocols(results: Sequence[Result], mix: bool = False) -> list[str]:
    """Scores that share a column must come from one protocol.

    A column is a task and a part of its scores (``mean``, ``direct``, ...). Raises ReportError that names the files
    and what differs between them; with ``mix`` that is returned, a sentence for each.
    """
    notes: dict[str, None] = {}
    columns: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        for part in result.scores:
            columns[result.task, part].append(result)
    for (task, part), found in columns.items():
        first = found[0]
        for other in found[1:]:
            if other.protocol_id != first.protocol_id:
                differ = [k for k, v in first.protocol_parts.items() if other.protocol_parts[k] != v]
                what = (
                    f"{first.path} (protocol {first.protocol_id}) and {other.path} (protocol {other.protocol_id}) "
                    f"differ in {', '.join(differ)}"
                )
                if not mix:
                    raise ReportError(
                        f"{task} ({part}): {what}, so their scores cannot stand in one column; evaluate both with the "
                        "same settings and data, report them apart, or give --mix-protocols"
                    )
                notes[f"{task}: {what}."] = None
    return list(notes)


def check_models(results: Sequence[Result]) -> None:
    """All results of one name must be of the same weights. Raises ReportError naming two files that are not."""
    seen: dict[str, Result] = {}
    for result in results:
        first = seen.setdefault(result.model, result)
        if first.tree["model_hash"] != result.tree["model_hash"]:
            raise ReportError(
                f"{first.path} and {result.path} score different weights ({first.tree['model_hash']} and "
                f"{result.tree['model_hash']}) under the name {result.model!r}; evaluate again"
            )
