"""The hashes by which one sound file, and one manifest, are known on every machine."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; a megabyte of it in memory at a time. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def manifest_sha256(path: str | Path) -> str:
    """SHA-256 of what a manifest in JSON lines (.gz or not) says, in hexadecimal: not where sound files and features
    lie, which differs between machines, nor how the lines are written. Raises OSError; ValueError naming a line."""
    digest = hashlib.sha256()
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                tree = json.loads(line)
                for part, places in _PLACES.items():
                    tree[part] = {k: v for k, v in (tree.get(part) or {}).items() if k not in places}
            except (ValueError, AttributeError) as error:
                raise ValueError(f"{path}:{number}: not a cut: {error}") from None
            digest.update(json.dumps(tree, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


_PLACES = {"recording": ("sources",), "features": ("storage_type", "storage_path", "storage_key")}
