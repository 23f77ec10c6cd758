"""The arithmetic of a run: float32, or a half precision by autocast, with scaled losses where that is float16."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import conv1d
from torch.optim import Optimizer

from audiotext.config import ConfigError

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Forward passes run inside ``autocast()``; weights, losses and the optimizer stay float32.

    Small gradients vanish in float16, so there the loss is multiplied by a scale that falls when a gradient overflows
    and slowly rises again (Micikevicius et al. 2018, "Mixed precision training"; torch.amp.GradScaler). A step:
    ``backward`` of every loss, ``unscale``, then ``step`` where the gradients are finite, else ``overflowed``.
    Raises ConfigError where the device cannot compute so.
    """

    def __init__(self, name: Literal["fp32", "bf16", "fp16"], device: torch.device):
        self.device, self.dtype = device, _HALF.get(name)
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")
        if self.dtype is not None:
            self._try(name)

    def autocast(self) -> torch.autocast | nullcontext:
        return nullcontext() if self.dtype is None else torch.autocast(self.device.type, self.dtype)

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def unscale(self, optimizer: Optimizer) -> None:
        """Gradients as they are without the scale."""
        self.scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Update the weights by unscaled, finite gradients."""
        self.scaler.step(optimizer)
        self.scaler.update()

    def overflowed(self) -> bool:
        """Called where gradients, but not the loss, are not finite: True where the scale is to blame, and now falls.

        False without a scale, and where it is 1 or less already: the fault is then elsewhere.
        """
        if not self.scaler.is_enabled():
            return False
        before = self.scaler.get_scale()
        self.scaler.update()
        return 1.0 < before > self.scaler.get_scale()

    def state_dict(self) -> dict:
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self.scaler.load_state_dict(state)

    def _try(self, name: str) -> None:
        x = torch.ones(1, 2, 8, device=self.device, requires_grad=True)
        try:
            with self.autocast():
                y = conv1d(x, torch.ones(2, 2, 3, device=self.device))
            y.float().sum().backward()
            works = y.dtype == self.dtype
        except RuntimeError:
            works = False
        if not works:
            raise ConfigError(f"train.precision={name} does not work on {self.device} here; take bf16 or fp32")
