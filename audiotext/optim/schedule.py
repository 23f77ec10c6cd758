"""Learning rates over time: Eden and Eden2 of icefall (Yao et al. 2023, "Zipformer", section 4)."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer


class Eden2:
    """lr = base * (1 + (batch / lr_batches)^2)^-1/2 * warmup.

    ``warmup`` rises linearly from ``warmup_start`` to 1 over ``warmup_batches``. Each group's base is the rate it was
    made with. The rates are set at once and again by each ``step_batch``: call it before the optimizer's step.
    """

    def __init__(
        self, optimizer: Optimizer, lr_batches: float, warmup_batches: float = 500.0, warmup_start: float = 0.5
    ):
        if lr_batches <= 0 or warmup_batches < 0 or not 0 <= warmup_start <= 1:
            raise ValueError(
                f"{type(self).__name__}: needs lr_batches > 0, warmup_batches >= 0 and warmup_start within 0 and 1, "
                f"got {lr_batches}, {warmup_batches} and {warmup_start}"
            )
        self.optimizer = optimizer
        self.lr_batches, self.warmup_batches, self.warmup_start = lr_batches, warmup_batches, warmup_start
        self.base_lrs = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
        self.batch: float = 0
        self._apply()

    def step_batch(self, batch: float) -> None:
        """Tell the number of batches trained so far."""
        self.batch = batch
        self._apply()

    def step_epoch(self, epoch: float) -> None:
        """Tell the number of epochs trained so far; Eden2 does not mind."""

    def factor(self) -> float:
        """What the base rate is multiplied by now."""
        return (1 + (self.batch / self.lr_batches) ** 2) ** -0.5 * self.warmup()

    def warmup(self) -> float:
        if self.batch >= self.warmup_batches:
            return 1.0
        return self.warmup_start + (1 - self.warmup_start) * self.batch / self.warmup_batches

    def last_lrs(self) -> list[float]:
        """The rate of each group now."""
        return [base * self.factor() for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        return {"batch": self.batch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError when the state is of an optimizer with other groups."""
        if len(state["base_lrs"]) != len(self.base_lrs):
            raise ValueError(
                f"the saved schedule drives {len(state['base_lrs'])} parameter groups, "
                f"this optimizer has {len(self.base_lrs)}"
            )
        self.batch, self.base_lrs = state["batch"], list(state["base_lrs"])
        self._apply()

    def _apply(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.last_lrs(), strict=True):
            group["lr"] = rate


class Eden(Eden2):
    """lr = base * (1 + (batch / lr_batches)^2)^-1/4 * (1 + (epoch / lr_epochs)^2)^-1/4 * warmup."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_batches: float,
        lr_epochs: float,
        warmup_batches: float = 500.0,
        warmup_start: float = 0.5,
    ):
        if lr_epochs <= 0:
            raise ValueError(f"Eden: lr_epochs must be positive, got {lr_epochs}")
        self.lr_epochs, self.epoch = lr_epochs, 0.0
        super().__init__(optimizer, lr_batches, warmup_batches, warmup_start)

    def step_epoch(self, epoch: float) -> None:
        """Tell the number of epochs trained so far, fractions allowed."""
        self.epoch = epoch
        self._apply()

    def factor(self) -> float:
        by_batch = (1 + (self.batch / self.lr_batches) ** 2) ** -0.25
        return by_batch * (1 + (self.epoch / self.lr_epochs) ** 2) ** -0.25 * self.warmup()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        super().load_state_dict(state)
