"""Independent jobs, done in this process or in several beside it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from audiotext.data.corpus import DataError

J, R = TypeVar("J"), TypeVar("R")


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread inside."""
    import torch  # some processes go without it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def end_with(parent: int) -> None:
    """From now on this process ends where ``parent``, which started it, has ended, also where that was killed."""
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def in_processes(do: Callable[[J], R], jobs: Sequence[J], nj: int) -> Iterator[R]:
    """``do`` of every job, each result as it comes; several processes have one thread each and end with this one.

    Raises what ``do`` raises, and DataError where a process dies.
    """
    if min(nj, len(jobs)) < 2:
        yield from map(do, jobs)
        return
    with ProcessPoolExecutor(min(nj, len(jobs)), initializer=_begin, initargs=(do, os.getpid())) as pool:
        futures = [pool.submit(_do, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise DataError("a worker process died (out of memory?); run again, finished shards are kept") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_DO: list[Callable] = []  # of this process


def _begin(do: Callable, parent: int) -> None:
    import torch

    torch.set_num_threads(1)  # on busy cores more are far slower, and a forked process must not use its parent's
    _DO[:] = [do]
    end_with(parent)


def _do(job: Any) -> Any:
    return _DO[0](job)
