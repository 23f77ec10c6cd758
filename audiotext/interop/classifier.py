"""The classifier of icefall's and Auden's audio taggers as ours."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from audiotext.interop.checkpoint import ForeignCheckpointError

WEIGHT = "classifier.1.weight"
"""After a dropout, which has no weights, comes the linear layer."""
FUSION = "encoder_fusion_weights"
"""Auden's taggers may classify a learnt mix of layers, which ours do not."""


def find_classifier(tensors: dict[str, Tensor], width: int) -> dict[str, Tensor]:
    """``weight`` (C, D) and ``bias`` (C,) of the one classifier on frames of ``width``.

    Raises ForeignCheckpointError where there is none or where it would not compute the same.
    """
    found = [name for name in tensors if name == WEIGHT or name.endswith("." + WEIGHT)]
    biases = [name.removesuffix("weight") + "bias" for name in found]
    if len(found) != 1 or biases[0] not in tensors:
        raise ForeignCheckpointError(
            f"--classifier keep: wants one {WEIGHT} with its bias, found {', '.join(found) or 'none'}; drop it instead"
        )
    if any(name.endswith(FUSION) for name in tensors):
        raise ForeignCheckpointError(f"--classifier keep: it works on a mix of layers ({FUSION}); drop it instead")
    weight, bias = tensors[found[0]], tensors[biases[0]]
    if weight.shape[1:] != (width,) or bias.shape != weight.shape[:1]:
        raise ForeignCheckpointError(f"{found[0]} is {tuple(weight.shape)}, for an encoder of width {width}")
    return {"weight": weight, "bias": bias}


def read_labels(path: Path | None, weights: Path, count: int) -> tuple[str, ...]:
    """Names of ``count`` classes: one a line of ``path``, or Auden's id2label.json beside the weights, or numbers.

    Raises ForeignCheckpointError for another count.
    """
    beside = weights.with_name("id2label.json")
    if path is not None:
        labels = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    elif beside.is_file():
        path = beside
        names = json.loads(beside.read_text(encoding="utf-8"))
        labels = tuple(str(names.get(str(i))) for i in range(len(names)))
    else:
        return tuple(map(str, range(count)))
    if len(labels) != count:
        raise ForeignCheckpointError(f"{path}: names {len(labels)} classes, the classifier has {count}")
    return labels
