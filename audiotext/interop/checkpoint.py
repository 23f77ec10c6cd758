"""Tensors of a checkpoint that another toolkit wrote, read without running anything that it holds."""

from __future__ import annotations

import argparse
import pathlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
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

    ``state`` asks for one of them. Pickles are read with ``weights_only=True``, which builds nothing but tensors and
    plain values; beside these only what toolkits save among their options is let in (``_plain``). Raises
    ForeignCheckpointError.
    """
    try:
        if path.suffix == ".safetensors":
            tree: Any = load_file(path)
        else:
            with torch.serialization.safe_globals(_plain()):
                tree = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ForeignCheckpointError(_refusal(path)) from None
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


def _plain() -> list[Any]:
    """Classes that hold plain values and whose making runs nothing else: paths, options, numbers of numpy.

    icefall's checkpoints have their options and some numbers beside the weights.
    """
    scalar = np.float64(0).__reduce__()[0]
    numbers = [type(np.dtype(code)) for code in "?bBhHiIlLqQefd"]
    renamed = [
        (pathlib.PosixPath, "pathlib._local.PosixPath"),  # Python 3.13's name
        (scalar, "numpy.core.multiarray.scalar"),  # numpy 1's name
        (scalar, "numpy._core.multiarray.scalar"),
        (dict, "icefall.utils.AttributeDict"),
    ]
    return [pathlib.PosixPath, argparse.Namespace, torch.torch_version.TorchVersion, np.dtype, *numbers, *renamed]


def _refusal(path: Path) -> str:
    """Why a pickle was not read, and how to take the weights out of it where it is trusted."""
    try:
        with torch.serialization.safe_globals(_plain()):
            named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (pickle.UnpicklingError, ValueError, RuntimeError):  # an old format, or no checkpoint at all
        named = []
    what = f"holds {', '.join(sorted(named))}" if named else "holds more than tensors, or is no checkpoint"
    return (
        f"{path}: {what}, and is not unpickled, since that could run any program. If you trust it, take out its "
        'weights where the toolkit that wrote it is installed: python -c "import torch; '
        f"c = torch.load('{path}', map_location='cpu', weights_only=False); "
        "torch.save({k: c[k] for k in ('model', 'model_avg') if k in c}, 'weights.pt')\""
    )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
