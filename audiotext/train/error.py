"""Why a training run ends before its time."""

from __future__ import annotations

import torch


class TrainingError(ValueError):
    """Training cannot go on; the message says why and what to try."""


def worker_died(error: BaseException) -> bool:
    """Whether torch says that a data loader's process is gone; it has no class of its own for that."""
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")


def out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a GPU or in main memory, where torch has no class of its own for that."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
