"""The folder of one run: its lock, its log file, its configuration."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from audiotext.config import ConfigError

_held: set[TextIO] = set()


def _let_go() -> None:
    """In a forked process: close its share of the lock, which lasts until every share is closed."""
    while _held:
        os.close(_held.pop().fileno())


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises ConfigError where another run holds it.

    The kernel drops the lock with the process, so a killed run leaves none behind: not in the processes that it forked
    either, which outlive it by some seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ConfigError(
                f"{folder}: another run is training here ({file.read().strip() or 'it did not say which'}); "
                "wait for it, stop it, or give another --out"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Copy every log line of level INFO and above to ``path`` as well, after what it holds."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO) if level else logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def flatten(tree: Any, where: str = "") -> dict[str, Any]:
    """A tree of dicts as dotted keys -> leaves; lists are leaves."""
    if not isinstance(tree, dict) or not tree:
        return {where: tree}
    return {k: v for name, part in tree.items() for k, v in flatten(part, f"{where}.{name}" if where else name).items()}


def changed_keys(before: dict, after: dict, free: tuple[str, ...]) -> list[str]:
    """Dotted keys whose values differ, but for those that equal or lie below a key of ``free``."""
    old, new = flatten(before), flatten(after)
    names = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    return [k for k in names if not any(k == f or k.startswith(f + ".") for f in free)]
