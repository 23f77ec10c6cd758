"""Kinds of dropout that share their mask, and coins that are tossed alike on every device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiotext.encoder.zipformer.schedule import Scheduled


def chance(probability: Scheduled) -> bool:
    """True with this probability, from torch's CPU generator: saved with a checkpoint, and no wait for a GPU."""
    probability = float(probability)
    return probability > 0 and torch.rand(()).item() < probability


def shared_dropout(x: Tensor, rate: Scheduled, training: bool) -> Tensor:
    """Dropout of whole channels of a clip: one mask for all frames. (B, T, D) -> (B, T, D)."""
    rate = float(rate)
    if not training or rate == 0:
        return x
    keep = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) > rate
    return x * (keep / (1 - rate)).to(x.dtype)


def clip_mask(x: Tensor, rate: Scheduled) -> Tensor:
    """1 for clips to keep, 0 for clips to drop, not rescaled: (B, 1, 1) for x (B, T, D)."""
    return (torch.rand(x.shape[0], 1, 1, device=x.device) > float(rate)).to(x.dtype)


class ClipDropout(nn.Module):
    """Zero what a block adds, for random clips of the batch, in training."""

    def __init__(self, rate: Scheduled):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or float(self.rate) == 0:
            return x
        return x * clip_mask(x, self.rate)
