"""What an evaluation is allowed to look at, and the file in which its numbers are kept."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import audiotext
from audiotext.atomic import replacing
from audiotext.config import ConfigError, Registry, from_tree, load_tree, merge, to_tree
from audiotext.data.digest import file_sha256
from audiotext.evaluate.bootstrap import LEVEL, RESAMPLES, interval, resample
from audiotext.evaluate.items import Kept, Sample, items_path, write_items
from audiotext.evaluate.results import protocol_id

if TYPE_CHECKING:
    from audiotext.evaluate.context import Context

EVALUATIONS = Registry("evaluation")
SYNTHETIC_SOURCE = "toy"
PACKAGES = ("torch", "lhotse", "numpy", "scipy", "scikit-learn", "transformers", "gguf", "pandas", "psds_eval")
CROP = "whole clips, no crop, no dither"


class ProtocolError(ValueError):
    """An evaluation would select on what it reports, or its clips are not there."""


@dataclass(frozen=True)
class Protocol:
    """Which clips may decide anything (``select_on``) and which are scored once (``report_on``); proved disjoint.

    With cross validation ``folds`` holds one protocol per fold and ``report_on`` every clip. ``manifests`` names the
    manifests that the clips, captions and labels come from. Raises ProtocolError for an overlap or an empty test set.
    """

    task: str
    description: str
    select_on: tuple[str, ...]
    report_on: tuple[str, ...]
    manifests: tuple[str, ...] = ()
    folds: tuple[Protocol, ...] = ()

    def __post_init__(self) -> None:
        both = set(self.select_on) & set(self.report_on)
        if both:
            some = ", ".join(sorted(both)[:3])
            raise ProtocolError(f"{self.task}: {len(both)} clips are both selected on and reported ({some}, ...)")
        if not self.report_on:
            raise ProtocolError(f"{self.task}: no clip to report on; check the label, the split and the manifest")

    def to_tree(self) -> dict:
        """What a result file says about the protocol."""
        return {
            "description": self.description,
            "manifests": list(self.manifests),
            "select_on": {"clips": len(self.select_on), "ids_hash": ids_hash(self.select_on)},
            "report_on": {"clips": len(self.report_on), "ids_hash": ids_hash(self.report_on)},
            "folds": len(self.folds),
        }


@dataclass
class Outcome:
    """What an evaluation returns.

    scores: a tree of numbers, or of ``spread`` entries where there are several seeds. details: anything else worth
    keeping (what was chosen, examples, chance levels). expected, found: clips the protocol reports on, clips scored.
    items: what every item scored, by the path of the score in the tree (``mean/accuracy``): for intervals.
    layer: which of the encoder's. pooling: what made one vector of a clip's frames; empty where nothing did. prompts:
    what stood for each class, where words did, and how a language model was asked. versions: of programs and packages
    that this task alone used.
    """

    scores: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict)
    pooling: str = ""
    expected: int = 0
    found: int = 0
    items: dict[str, Sample] = field(default_factory=dict)
    layer: str = "last"
    prompts: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass
class Evaluation:
    """Base of every task: a registered config dataclass whose fields are the task's options, written in YAML.

    ``protocol`` reads manifests only, so that an up-to-date result is recognised without running a model. ``seeds`` is
    a field of every task.
    """

    expected: int | None = field(default=None, kw_only=True)
    """Clips that the published test set has, in the result beside those found; by default those the manifest lists."""

    def protocol(self, context: Context) -> Protocol:
        raise NotImplementedError

    def run(self, context: Context, protocol: Protocol) -> Outcome:
        raise NotImplementedError

    def settings(self, context: Context) -> dict:
        """Everything but clips and model that decides the score; a change of it makes a result stale."""
        return to_tree(self)


@dataclass(frozen=True)
class Task:
    """An evaluation under the name of its result file."""

    name: str
    evaluation: Evaluation

    @cached_property
    def kind(self) -> str:
        return type(self.evaluation).part_name


def load_tasks(paths: Iterable[str | Path], overrides: Iterable[str] = ()) -> list[Task]:
    """Tasks from their YAML files: ``task:`` names the kind of evaluation, the other keys are its options.

    An override ``key=value`` applies to every task; ``NAME.key=value``, where NAME is the name (file name without
    suffix) or kind of one of them, to those alone. Raises ConfigError naming the file.
    """
    trees = {Path(path): load_tree(path) for path in paths}
    for path, tree in trees.items():
        if not isinstance(tree.get("task"), str):
            raise ConfigError(f"{path}: needs the key task, one of {', '.join(EVALUATIONS.names())}")
    addressed = {path.stem for path in trees} | set(EVALUATIONS.names())
    tasks = []
    for path, tree in trees.items():
        kind = tree.pop("task")
        mine = []
        for item in overrides:
            first, dot, rest = item.partition(".")
            if dot and "=" not in first and first in (path.stem, kind):
                mine.append(rest)
            elif "=" in first or first not in addressed:
                mine.append(item)
        try:
            tasks.append(Task(path.stem, from_tree(EVALUATIONS[kind], merge(tree, overrides=mine))))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    return tasks


def ids_hash(ids: Iterable[str]) -> str:
    """sha256 of the sorted ids, one a line."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1; 0 for one value) and the values of several seeds."""
    values = [float(v) for v in values]
    mean = sum(values) / len(values)
    deviation = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else 0.0
    return {"mean": mean, "std": deviation, "values": values}


def over_seeds(runs: Sequence[dict[str, float]]) -> dict:
    """The numbers of one seed as they are; of several as mean, deviation and values."""
    return dict(runs[0]) if len(runs) == 1 else {key: spread(run[key] for run in runs) for key in runs[0]}


def identity(task: Task, context: Context, protocol: Protocol) -> dict:
    """What a stored score must agree on to be the score of this model on this task."""
    return {
        "task": task.name,
        "kind": task.kind,
        "model": context.name,
        "model_hash": context.model_hash,
        "settings": json.loads(json.dumps(task.evaluation.settings(context))),
        "ids_hash": ids_hash(protocol.report_on),
        "protocol": protocol.to_tree(),
        "manifest_hashes": {name: context.manifest_hash(name) for name in protocol.manifests},
    }


def result_path(out: str | Path, model: str, task: str) -> Path:
    return Path(out) / model / f"{task}.json"


def stale(path: Path, wanted: dict) -> str | None:
    """Why ``path`` is not a result of exactly this identity; None where it is."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "not scored yet"
    except (OSError, ValueError):
        return f"{path} cannot be read, scored again"
    changed = [key for key, value in wanted.items() if stored.get(key) != value]
    if changed:
        return f"{', '.join(changed)} changed, scored again"
    kept = stored.get("items")
    if kept and (not items_path(path).is_file() or file_sha256(items_path(path)) != kept["sha256"]):
        return f"{items_path(path)} is not there or not that of {path.name}, scored again"
    return None


def write_result(path: Path, wanted: dict, context: Context, outcome: Outcome, seconds: float) -> dict:
    """Write one result file by atomic rename, what its items scored beside it, and return what was written."""
    resampled = resample(outcome.items)
    items = None
    if outcome.items:
        write_items(items_path(path), Kept(outcome.items, resampled))
        items = {"file": items_path(path).name, "sha256": file_sha256(items_path(path))}
    result = {
        **wanted,
        "protocol_id": protocol_id(wanted),
        **encoder_facts(context),
        "layer": outcome.layer,
        "pooling": outcome.pooling or "none, every frame",
        "prompts": outcome.prompts,
        "scores": outcome.scores,
        "intervals": {name: interval(values) for name, values in resampled.items()},
        "interval": f"{LEVEL:.0%} percentile bootstrap over items in their groups and over seeds, {RESAMPLES} draws",
        "items": items,
        "details": outcome.details,
        "seeds": wanted["settings"].get("seeds", []),
        "clips": {"expected": wanted["settings"].get("expected") or outcome.expected, "found": outcome.found},
        "synthetic": context.synthetic(wanted["manifest_hashes"]),
        "versions": versions() | outcome.versions,
        "git_revision": git_revision(),
        "command": shlex.join(sys.argv),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 2),
        "peak_memory_mb": peak_memory(),
    }
    write_json(path, result)
    return result


def encoder_facts(context: Context) -> dict:
    """What is to be said about an encoder besides its weights: kind, what it hears, how clips are cut."""
    config = context.model.config
    encoder = config.encoder
    return {
        "encoder": type(encoder).part_name,
        "encoder_of": getattr(encoder, "model", None),
        "sample_rate": context.model.frontend.sample_rate,
        "frontend": type(config.frontend).part_name,
        "crop": CROP,
        "device": str(context.model.device),
    }


def versions() -> dict[str, str]:
    """Of this package, Python and the libraries that the numbers come from, as far as they are installed."""
    found = {"audiotext": audiotext.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def peak_memory() -> dict[str, int]:
    """The most memory this process has held so far, in MB (2^20 bytes), and that of its GPU where it used one."""
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KB elsewhere
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale >> 20}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["gpu"] = torch.cuda.max_memory_allocated() >> 20
    return found


def write_json(path: Path, tree: Any) -> None:
    """JSON by atomic rename. Raises ValueError for a number that is not finite."""
    with replacing(path) as temporary:
        text = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def git_revision() -> str | None:
    """The revision of the source tree that runs, with ``+`` where it has changes; None outside a checkout."""
    folder = Path(audiotext.__file__).parent
    try:
        run = {"cwd": folder, "capture_output": True, "text": True, "timeout": 10, "check": True}
        revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno", "--", "."], **run).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+" if changed else "")
