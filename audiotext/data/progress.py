"""Progress of slow loops: a bar on a terminal, plain lines with the time left in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], total: int, name: str, every: float = 10.0) -> Iterator[T]:
    """Yield ``items``, telling how far the loop is; in a log one line per ``every`` seconds."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=name, leave=False)
        return
    begun = said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= every:
            said = now
            left = (now - begun) / done * (total - done)
            logging.info("%s: %d of %d, about %.0f s left", name, done, total, left)
