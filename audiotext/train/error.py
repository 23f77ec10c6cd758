"""Why a training run ends before its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class TrainingError(ValueError):
    """Training cannot go on; the message says why and what to try."""


READER_ERRORS = (RuntimeError, EOFError, ConnectionError)
"""What reading from a data loader raises when its process is gone: torch's error, or sooner that of the pipe."""


def worker_died(error: BaseException) -> bool:
    """Whether a data loader's process is gone; torch has no class of its own for that."""
    if isinstance(error, RuntimeError):
        return str(error).startswith("DataLoader worker")
    return isinstance(error, READER_ERRORS)


@contextmanager
def dead_workers_explained() -> Iterator[None]:
    """Raise TrainingError, with advice, where a data loader's process is gone."""
    try:
        yield
    except READER_ERRORS as error:
        if not worker_died(error):
            raise
        raise TrainingError(
            f"a process that reads data died, likely because memory ran out ({error or type(error).__name__}). "
            "Checkpoints are kept: run the same command again, with a smaller data.workers if it recurs"
        ) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a GPU or in main memory, where torch has no class of its own for that."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
