"""Checkpoints: one file each, written by atomic rename, checked when read, the newest good one found.

A checkpoint is a dict saved by torch.save and loaded with ``weights_only=True``: nothing in it can run code. Its
members are plain containers, scalars and tensors.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch

from audiotext.config import ConfigError

FORMAT = "audiotext training checkpoint 2"
_NAME = re.compile(r"step-(\d+)\.pt")
_log = logging.getLogger(__name__)


class CheckpointError(ConfigError):
    """A checkpoint cannot be read or does not fit; the message says which and what to do."""


class CheckpointFolder:
    """The checkpoints of one run: ``step-N.pt``, of which the last ``keep_last`` stay, and ``best.pt``."""

    def __init__(self, folder: Path, keep_last: int):
        if keep_last < 1:
            raise ConfigError(f"train.keep_last is {keep_last}; at least 1 checkpoint must stay")
        self.folder, self.keep_last = folder, keep_last

    @property
    def best(self) -> Path:
        return self.folder / "best.pt"

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.pt"

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, oldest first."""
        names = (_NAME.fullmatch(p.name) for p in self.folder.glob("step-*.pt"))
        return sorted(int(match[1]) for match in names if match)

    def save(self, state: dict[str, Any], is_best: bool = False) -> Path:
        """Write the state of ``state["step"]``; only then remove what is older than the last ``keep_last``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(state["step"])
        write(state, path)
        if is_best:
            temporary = self.best.with_name(f"best.pt.tmp{os.getpid()}")
            shutil.copyfile(path, temporary)
            _replace(temporary, self.best)
        for step in self.steps()[: -self.keep_last]:
            self.path(step).unlink(missing_ok=True)
        for leftover in self.folder.glob("*.pt.tmp*"):  # of a run that was killed while it wrote
            leftover.unlink(missing_ok=True)
        return path

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest checkpoint that can be read, or None without any checkpoint.

        One that is damaged is named in the log, set aside as ``*.damaged`` and the one before it is used. Raises
        CheckpointError where there are checkpoints and none is good: starting over would be a silent loss.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return self.path(step), read(self.path(step))
            except CheckpointError as error:
                _log.warning("%s; trying the one before it", error)
                os.replace(self.path(step), self.path(step).with_suffix(".pt.damaged"))
        if steps or any(self.folder.glob("*.damaged")):
            raise CheckpointError(
                f"{self.folder}: every checkpoint is damaged; use --resume {self.best} where that file is good, "
                "--resume never to start over, or another --out"
            )
        return None

    def clear(self) -> None:
        """Forget an earlier run, damaged files and all."""
        for path in self.folder.glob("*.pt*"):
            path.unlink()


def write(state: dict[str, Any], path: Path) -> None:
    """Save to a temporary name, flush to the disk, rename.

    Raises CheckpointError where that fails (a full disk), with what ``path`` held untouched.
    """
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            torch.save({"format": FORMAT} | state, file)
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, (OSError, RuntimeError)):  # torch reports a failed write as either
            raise CheckpointError(
                f"{path}: the checkpoint could not be written ({_first_line(error)}); the one before it is whole: "
                "make room and run the same command again"
            ) from error
        raise


def read(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU. Raises CheckpointError where it is missing, damaged or not one of ours."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load does not look at the checksums of the members
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"wrong checksum in its member {damaged}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: damaged or not a checkpoint ({_first_line(error)})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint that this version of audiotext wrote")
    return state


def _replace(temporary: Path, path: Path) -> None:
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the rename itself may be lost with the power
    finally:
        os.close(folder)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
