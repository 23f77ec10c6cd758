"""Numbers that change as training goes on: dropout rates, skip rates, limits."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


class ScheduledFloat(nn.Module):
    """A number that follows straight lines through (step, value) points, and is constant outside them.

    A module without parameters, so that ``set_step`` finds it wherever it sits. Use it as ``float(number)``.
    """

    def __init__(self, *points: tuple[float, float]):
        super().__init__()
        steps = [step for step, _ in points]
        if not points or steps != sorted(set(steps)):
            raise ValueError(f"a schedule needs points whose steps increase, got {points}")
        self.points = points
        self.set_step(0)

    def set_step(self, step: float) -> None:
        self.value = self.at(step)

    def at(self, step: float) -> float:
        """The value at a step."""
        if step <= self.points[0][0]:
            return float(self.points[0][1])
        for (start, first), (end, last) in pairwise(self.points):
            if step <= end:
                return first + (last - first) * (step - start) / (end - start)
        return float(self.points[-1][1])

    def __float__(self) -> float:
        return self.value

    def extra_repr(self) -> str:
        return " ".join(f"{step:g}:{value:g}" for step, value in self.points)


Scheduled = float | ScheduledFloat


def set_step(module: nn.Module, step: float) -> None:
    """Move every schedule inside ``module`` to ``step``."""
    for part in module.modules():
        if isinstance(part, ScheduledFloat):
            part.set_step(step)
