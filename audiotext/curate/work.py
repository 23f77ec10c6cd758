"""Units of work: folders that appear when they are whole, so that a killed run goes on where it was."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiotext.atomic import replacing
from audiotext.data.corpus import DataError
from audiotext.data.processes import end_with
from audiotext.data.progress import progress

LOG = logging.getLogger(__name__)
Task = Callable[[Any, Path], None]
"""Does a job and writes what comes of it into a folder."""


class Work:
    """A folder of finished units. What is in it was made with the same ``key``; other work is thrown away."""

    def __init__(self, folder: Path, key: Any, nj: int = 1):
        self.folder, self.nj = folder, nj
        text, marker = json.dumps(key, sort_keys=True), folder / "key.json"
        if not marker.is_file() or marker.read_text(encoding="utf-8") != text:
            shutil.rmtree(folder, ignore_errors=True)
            with replacing(marker) as temporary:
                temporary.write_text(text, encoding="utf-8")

    def stage(self, name: str, task: Task, jobs: Sequence[Any], told: str) -> Iterator[Path]:
        """The folders NAME/00000, ... of ``jobs``, in order, as ``task`` fills them in up to ``nj`` processes.

        Raises what the task raises, and DataError where a process dies.
        """
        base, begun = self.folder / name, time.monotonic()
        base.mkdir(exist_ok=True)
        for left in base.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)
        folders = [base / f"{i:05}" for i in range(len(jobs))]
        todo = [(job, folder) for job, folder in zip(jobs, folders, strict=True) if not folder.is_dir()]
        if min(self.nj, len(todo)) <= 1:
            _begin(task)
            done = (_unit(*each) for each in todo)
            yield from progress(_in_order(folders, done), len(folders), told)
        else:
            yield from self._in_processes(task, todo, folders, told)
        if jobs:
            LOG.info("%s: %d of %d pieces done in %.1f seconds", told, len(todo), len(jobs), time.monotonic() - begun)

    def _in_processes(self, task: Task, todo: list[tuple], folders: list[Path], told: str) -> Iterator[Path]:
        with ProcessPoolExecutor(min(self.nj, len(todo)), initializer=_begin, initargs=(task, os.getpid())) as pool:
            try:
                futures = [pool.submit(_unit, *each) for each in todo]
                done = (future.result() for future in futures)
                yield from progress(_in_order(folders, done), len(folders), told)
            except BrokenProcessPool:
                raise DataError(f"{told}: a process died (out of memory?); run again, what is done stays") from None
            finally:
                pool.shutdown(cancel_futures=True)

    def finish(self) -> None:
        """Remove the folder; killed on the way, what is left of it is not taken for work."""
        gone = self.folder.with_name(f".{self.folder.name}.done")
        shutil.rmtree(gone, ignore_errors=True)
        self.folder.rename(gone)
        shutil.rmtree(gone)


def _in_order(folders: list[Path], done: Iterator[None]) -> Iterator[Path]:
    for folder in folders:
        while not folder.is_dir():
            next(done)
        yield folder


_TASK: list[Task] = []  # of this process


def _begin(task: Task, parent: int = 0) -> None:
    _TASK[:] = [task]
    if parent:
        gc.disable()  # nothing here makes cycles, and looking for them takes a tenth of the time
        end_with(parent)


def _unit(job: Any, folder: Path) -> None:
    with appearing(folder) as temporary:
        _TASK[0](job, temporary)


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name at the end of the block, and is removed where that fails."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        if not folder.is_dir():  # or the last process of a killed run has just made it, the same
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
