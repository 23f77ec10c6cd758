"""How large every tensor, its gradient and its change in a step are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def measured(module: nn.Module, step: int) -> Iterator[list[dict[str, Any]]]:
    """Around an optimizer's step: a list that holds, afterwards, a row for each trainable tensor of ``module``.

    A row: step, name, shape, and the root mean squares of ``weight`` (after), ``gradient`` and ``update``.
    """
    rows: list[dict[str, Any]] = []
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    before = [p.detach().clone() for _, p in trained]
    gradients = [0.0 if p.grad is None else _rms(p.grad) for _, p in trained]
    yield rows
    for (name, p), old, gradient in zip(trained, before, gradients, strict=True):
        sizes = {"weight": _rms(p), "gradient": gradient, "update": _rms(p.detach() - old)}
        rows.append({"step": step, "name": name, "shape": list(p.shape)} | sizes)


@torch.no_grad()
def _rms(x: Tensor) -> float:
    return float(x.float().square().mean().sqrt())
