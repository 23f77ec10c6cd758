"""One model from several checkpoints of a run: the mean of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from audiotext.config import ConfigError, from_tree
from audiotext.model import AudioTextModel
from audiotext.text.tokenizer import Tokenizer
from audiotext.train.checkpoint import CheckpointError, read
from audiotext.train.config import PretrainConfig


def combine(
    paths: Sequence[Path], tokenizer: Tokenizer | None, weights: Literal["model", "average"] = "average"
) -> tuple[AudioTextModel, list[int]]:
    """The model of one checkpoint or the mean of several of one run, in evaluation mode, and the steps it is made of.

    weights: "average" takes each checkpoint's running average, "model" the weights as the optimizer left them. Means
    are taken in float64; what is not floating point comes from the last checkpoint named. Raises CheckpointError
    where one is damaged or of another model, ConfigError for none.
    """
    if not paths:
        raise ConfigError("no checkpoint is named")
    steps, first, total = [], None, {}
    for path in paths:
        state = read(path)
        values = _weights(state, weights)
        if first is None:
            first = state["config"], _shapes(values)
        elif (state["config"]["model"], _shapes(values)) != (first[0]["model"], first[1]):
            raise CheckpointError(f"{path}: of another model than {paths[0]}; only checkpoints of one run average")
        for name, value in values.items():
            if value.is_floating_point():
                total[name] = total.get(name, 0.0) + value.to(torch.float64)
        steps.append(state["step"])
    config = from_tree(PretrainConfig, first[0])
    model = config.model.pruned(config.objective.build().parts).build(tokenizer)
    mean = values | {name: value / len(paths) for name, value in total.items()}
    if _shapes(model.state_dict()) != _shapes(mean):
        raise CheckpointError(f"{paths[0]}: does not fit the model that its configuration and this tokenizer make")
    model.load_state_dict(mean)
    return model.eval(), steps


def _weights(state: dict, which: str) -> dict[str, Tensor]:
    """The model's tensors; the running average also holds the objective's."""
    if which == "model":
        return state["model"]
    return {k.removeprefix("model."): v for k, v in state["average"].items() if k.startswith("model.")}


def _shapes(values: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in values.items()}
