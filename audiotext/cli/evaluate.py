"""Score a model folder on downstream tasks with its encoder frozen.

Each task is a YAML file whose ``task:`` names the kind of evaluation; its result goes to OUT/NAME/TASK.json. A
result that is there already for the same weights, settings and clips is kept; any other is computed again. A task
that fails is reported and the others go on; the exit code is then 1.

  audiotext evaluate --model exp/contrastive/model --tasks "conf/evaluate/*.yaml" --features-dir data/features \\
      --tokenizer data/curated/tokenizer --text-config conf/model/tiny.yaml --out exp/results
"""

from __future__ import annotations

import argparse
import glob
import logging
import time
from pathlib import Path

HELP = "score a frozen encoder on probes, retrieval, zero-shot, captioning and questions"
LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--name", help="name in the results (default: the model folder's, or its parent's for model/)")
    parser.add_argument(
        "--tasks", nargs="+", required=True, metavar="YAML", help="task files, patterns, or a quoted list of them"
    )
    parser.add_argument("--features-dir", type=Path, required=True, help="folder of <manifest>.jsonl with features")
    parser.add_argument("--tokenizer", type=Path, help="for text parts trained here (default: the model's own)")
    parser.add_argument("--text-config", type=Path, help="model YAML whose text parts are trained where it has none")
    parser.add_argument("--out", type=Path, default=Path("exp/results"), help="results folder (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="where the encoder runs (default: %(default)s)")
    parser.add_argument(
        "--nj", type=int, default=1, metavar="N",
        help="processes that compute frames on the CPU, one thread each; one uses all threads (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="overrides",
        help="change an option of every task, or with TASK.KEY=VALUE of the task (or kind of task) of that name",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from audiotext.config import ConfigError
    from audiotext.evaluate.context import Context
    from audiotext.evaluate.protocol import load_tasks

    if args.nj < 1:
        raise ConfigError(f"--nj: expected at least 1, got {args.nj}")
    tasks = load_tasks(task_files(args.tasks), args.overrides)
    folder = args.model.resolve()
    context = Context(
        model_folder=args.model,
        name=args.name or (folder.parent.name if folder.name == "model" else folder.name),
        features=args.features_dir,
        out=args.out,
        tokenizer_folder=args.tokenizer,
        text_config=args.text_config,
        device=args.device,
        nj=args.nj,
    )
    context.model  # noqa: B018  a broken model folder ends the run before any task
    failed = [task.name for task in tasks if not evaluate(task, context)]
    if failed:
        LOG.error("%s: %d of %d tasks failed: %s", context.name, len(failed), len(tasks), ", ".join(failed))
    return 1 if failed else 0


def evaluate(task, context) -> bool:  # noqa: ANN001
    """One task: skipped where its result is current. False where it failed; the reason is in the log."""
    from audiotext.evaluate.protocol import identity, result_path, stale, write_result

    path, started = result_path(context.out, context.name, task.name), time.monotonic()
    try:
        protocol = task.evaluation.protocol(context)
        wanted = identity(task, context, protocol)
        reason = stale(path, wanted)
        if reason is None:
            LOG.info("%s, %s: up to date (%s)", context.name, task.name, path)
            return True
        LOG.info("%s, %s: %s", context.name, task.name, reason)
        outcome = task.evaluation.run(context, protocol)
        result = write_result(path, wanted, context, outcome, time.monotonic() - started)
    except (ValueError, FileNotFoundError) as error:
        LOG.error("%s, %s failed: %s", context.name, task.name, error)
        return False
    except Exception:
        LOG.exception("%s, %s failed", context.name, task.name)
        return False
    LOG.info("%s, %s: done in %.1f s, %s", context.name, task.name, result["seconds"], path)
    return True


def task_files(patterns: list[str]) -> list[Path]:
    """Files named by quoted lists and patterns, each once. Raises FileNotFoundError for a name without file."""
    files: dict[Path, None] = {}
    for pattern in " ".join(patterns).split():
        found = sorted(glob.glob(pattern))
        if not found:
            raise FileNotFoundError(f"{pattern}: no such task file")
        files.update(dict.fromkeys(map(Path, found)))
    return list(files)
