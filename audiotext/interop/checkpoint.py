"""Tensors of a checkpoint that another toolkit wrote, read without running anything that it holds."""

from __future__ import annotations

import pathlib
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

STATES = ("model_avg", "model", "state_dict")
"""Where a checkpoint may keep its weights, best first: icefall's running average, its last weights, others' name."""
WEIGHTS = ("model.safetensors", "pretrained.pt", "model.pt")
"""Names of the weights in a model folder, as Auden writes them, best first."""


class ForeignCheckpointError(ValueError):
    """A checkpoint cannot be imported; the message says why and what would help."""


def find_weights(path: Path) -> Path:
    """``path`` itself, or the file of weights in a model folder. Raises ForeignCheckpointError where none is found."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise ForeignCheckpointError(f"{path}: no such file or folder")
    found = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
    others = sorted(path.glob("*.pt"))
    if found is None and len(others) == 1:
        found = others[0]
    if found is None:
        named = ", ".join(other.name for other in others) or "none"
        raise ForeignCheckpointError(
            f"{path}: which weights? Name the file; expected {', '.join(WEIGHTS)}, .pt files: {named}"
        )
    return found


def read_tensors(path: Path, state: str | None = None) -> tuple[dict[str, Tensor], str]:
    """Named tensors of a .safetensors or .pt file, and which of ``STATES`` they are ("" for a bare state dict).

    ``state`` asks for one of them. Pickles are read with ``weights_only=True``; of other things only paths are let in,
    which icefall saves among its options. Raises ForeignCheckpointError.
    """
    try:
        if path.suffix == ".safetensors":
            tree: Any = load_file(path)
        else:
            torch.serialization.add_safe_globals([pathlib.PosixPath, pathlib.PurePosixPath])
            tree = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ForeignCheckpointError(
            f"{path}: holds more than tensors, or is no checkpoint, and is not unpickled ({_first_line(error)}); "
            "save its state dict alone where it was trained, as icefall's export.py does"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, SafetensorError) as error:
        raise ForeignCheckpointError(f"{path}: cannot be read ({_first_line(error)})") from None
    if not isinstance(tree, dict):
        raise ForeignCheckpointError(f"{path}: holds a {type(tree).__name__}, not named tensors")
    if state is not None and not isinstance(tree.get(state), dict):
        raise ForeignCheckpointError(f"{path}: has no {state}; there are {', '.join(map(str, list(tree)[:20]))}")
    name = state or next((name for name in STATES if isinstance(tree.get(name), dict)), "")
    tensors = tree[name] if name else tree
    tensors = {str(key): value for key, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ForeignCheckpointError(f"{path}: holds no tensors")
    return tensors, name


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
