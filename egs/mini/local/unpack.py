"""Writing members of archives to files, once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_once(path: Path, content: Callable[[], bytes]) -> Path:
    """``path``, written with ``content()`` by atomic rename where it is not there yet."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(content())
        os.replace(temporary, path)
    return path
