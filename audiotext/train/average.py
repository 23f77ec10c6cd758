"""The running average of a model's weights, which validation uses and which a run saves at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class RunningAverage:
    """A float64 average of a module's floating-point state over the steps of a run.

    The average after step t is ``average + rate * (weights - average)`` with ``rate = min(1, power * period / t)``.
    ``power`` 1 weighs all steps alike, which is icefall's ``update_averaged_model``; ``power`` p weighs step t by
    t^(p - 1), so that the early, bad weights of a short run fade (polynomial-decay averaging, Shamir and Zhang,
    ICML 2013). State that is not floating point is taken as it is at the latest update.
    """

    def __init__(self, module: nn.Module, period: int, power: float):
        if period < 1 or power < 1:
            raise ValueError(f"the average needs a period and a power of at least 1, got {period} and {power}")
        self.period, self.power = period, power
        self.average = {name: _wide(value) for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` (from 1); does nothing between periods."""
        if step % self.period:
            return
        rate = min(1.0, self.power * self.period / step)
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value.to(torch.float64), rate)
            else:
                self.average[name].copy_(value)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Inside, ``module`` holds the average; afterwards exactly what it held before."""
        state = module.state_dict()
        before = {name: value.clone() for name, value in state.items()}
        _copy(self.average, state)
        try:
            yield
        finally:
            _copy(before, state)

    def state_dict(self) -> dict[str, Tensor]:
        return self.average

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Raises ValueError where the names are not those of the module."""
        if state.keys() != self.average.keys():
            raise ValueError("the averaged weights of the checkpoint belong to another model")
        _copy(state, self.average)


def _wide(value: Tensor) -> Tensor:
    return value.detach().to(torch.float64, copy=True) if value.is_floating_point() else value.detach().clone()


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, value in target.items():
        value.copy_(source[name])
