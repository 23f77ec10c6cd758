"""What a run keeps for whoever looks into it: tables of JSON lines, and the batch that it broke on."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from audiotext.atomic import replacing
from audiotext.distributed import GroupError
from audiotext.train.error import TrainingError, out_of_memory, worker_died
from audiotext.train.tracker import keep_until
from audiotext.types import Batch

TABLES = ("bad_batches", "statistics")
_log = logging.getLogger(__name__)


class Records:
    """Files in the folder of a run; lines that an interrupted run wrote past ``step`` are dropped.

    bad_batches.jsonl: a line for each step that was skipped. statistics.jsonl: a line for each tensor and time it was
    measured. crash-step-N.pt: the batches of the last step that raised. Without a folder nothing is kept. Of several
    processes the main one, of ``rank`` 0, writes the tables; each keeps its own batches, under a name with its rank.
    """

    def __init__(self, folder: Path | None = None, step: int = 0, rank: int = 0):
        self.folder, self.rank = folder, rank
        if folder is not None and rank == 0:
            for table in TABLES:
                keep_until(folder / f"{table}.jsonl", step)

    def append(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Add rows, each with its ``step``, to ``<table>.jsonl``; numbers that are not finite become null."""
        if self.folder is None or self.rank:
            return
        lines = [json.dumps({k: _plain(v) for k, v in row.items()}, ensure_ascii=False) + "\n" for row in rows]
        with open(self.folder / f"{table}.jsonl", "a", encoding="utf-8") as file:
            file.write("".join(lines))

    @contextmanager
    def crash_saved(self, batches: list[Batch], step: int, seed: int) -> Iterator[None]:
        """Save the batches of a step that raises, in place of those of an earlier crash, and say where they are.

        Raises TrainingError, with advice, where memory ran out.
        """
        try:
            yield
        except (TrainingError, GroupError):
            raise
        except Exception as error:
            if not worker_died(error):
                self._save(batches, step, seed, error)
            if out_of_memory(error):
                seconds = max(float(batch.durations.max()) * len(batch) for batch in batches)
                raise TrainingError(
                    f"memory ran out in step {step + 1}, on a batch of {seconds:.0f} s with its padding: set "
                    "data.sampler.max_duration below that, or train.checkpoint_activations=true; --scan tries the "
                    "worst batches before the first step"
                ) from error
            raise

    def _save(self, batches: list[Batch], step: int, seed: int, error: Exception) -> None:
        if self.folder is None:
            return
        name = f"rank-{self.rank}-crash" if self.rank else "crash"
        path = self.folder / f"{name}-step-{step + 1}.pt"
        content = {"step": step, "seed": seed, "error": f"{type(error).__name__}: {error}"}
        try:
            with replacing(path) as temporary:
                torch.save(content | {"batches": [_contents(batch) for batch in batches]}, temporary)
        except OSError as trouble:  # a full disk must not hide what really happened
            _log.error("step %d failed, and its batches could not be saved: %s", step + 1, trouble)
            return
        for other in self.folder.glob(f"{name}-step-*.pt"):
            if other != path:
                other.unlink()
        _log.error(
            "step %d failed; to look at its batches: torch.load(%r, weights_only=True)['batches']", step + 1, str(path)
        )


def _contents(batch: Batch) -> dict[str, Any]:
    return asdict(batch.to("cpu"))


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
