"""BiasNorm: the normalisation of Zipformer (Yao et al. 2023, section 3.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from audiotext.encoder.zipformer.balance import limit_parameter


class _BiasNorm(torch.autograd.Function):
    """Keeps its input and one number per frame for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, log_scale: Tensor) -> Tensor:
        scale = log_scale.exp()
        scales = (x - bias).float().square().mean(dim=-1, keepdim=True).rsqrt() * scale
        ctx.save_for_backward(x, bias, scale, scales)
        return (x * scales).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, bias, scale, scales = ctx.saved_tensors
        away = (x - bias).float()
        towards_scales = (grad * x).float().sum(dim=-1, keepdim=True)
        # d scales / d x = -scales / mean(away^2) * away / D, with mean(away^2) = (scale / scales)^2.
        factor = towards_scales * scales**3 / (scale.square() * x.shape[-1])
        bias_grad = torch.einsum("...i,...d->d", factor, away).to(bias.dtype)
        return (grad * scales).addcmul_(factor, away, value=-1).to(x.dtype), bias_grad, (towards_scales * scales).sum()


class BiasNorm(nn.Module):
    """x * exp(log_scale) / rms(x - bias): keeps some of a frame's length, which LayerNorm discards."""

    def __init__(self, dim: int):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1.0))
        self.bias = nn.Parameter(torch.empty(dim).normal_(std=1e-4))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return _BiasNorm.apply(x, self.bias, limit_parameter(self.log_scale, -1.5, 1.5, self.training))
