"""Gentle constraints on activations and parameters that act through gradients alone (Yao et al. 2023, section 3.6).

Nothing here changes a value in the forward pass, and nothing acts outside training. The reference computes the same
gradients by automatic differentiation; here they are written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from audiotext.encoder.zipformer.dropout import chance
from audiotext.encoder.zipformer.schedule import Scheduled, ScheduledFloat


class _Balance(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mean_limits: tuple[float, float], rms_limits: tuple[float, float], scale: float, dim: int
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.limits = mean_limits, rms_limits, scale, dim
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        """The penalty is |m - clip(m)| + |log(rms / clip(rms))| of each channel, with m = mean / deviation.

        Its gradient is a linear function of x, ``slope * x + offset``, scaled to a fixed root mean square and then
        by each element's own |grad|.
        """
        (x,) = ctx.saved_tensors
        mean_limits, rms_limits, scale, dim = ctx.limits
        x, grad32 = x.float(), grad.float()
        others = [d for d in range(x.ndim) if d != dim % x.ndim]
        square = x.square().mean(dim=others, keepdim=True).clamp(min=1e-20)
        mean = x.mean(dim=others, keepdim=True)
        deviation = (square - mean.square()).clamp(min=1e-20).sqrt()
        m, rms = mean / deviation, square.sqrt()
        too_far = (m - m.clamp(*mean_limits)).sign() / deviation
        too_loud = (rms - rms.clamp(*rms_limits)).sign()
        slope = too_loud / square - too_far * m / deviation
        offset = too_far * (1 + m.square())
        size = (slope.square() * square + 2 * slope * offset * mean + offset.square()).clamp(min=1e-40).sqrt()
        penalty = torch.addcmul(offset * (scale / size), x, slope * (scale / size))
        return torch.addcmul(grad32, grad32.abs(), penalty).to(grad.dtype), None, None, None, None


class Balancer(nn.Module):
    """Push each channel's share of positive values and mean magnitude into a range, in part of the steps."""

    def __init__(
        self,
        min_positive: Scheduled = 0.05,
        max_positive: Scheduled = 0.95,
        min_abs: Scheduled = 0.2,
        max_abs: Scheduled = 100.0,
        probability: Scheduled | None = None,
        channel_dim: int = -1,
    ):
        super().__init__()
        self.min_positive, self.max_positive = min_positive, max_positive
        self.min_abs, self.max_abs = min_abs, max_abs
        self.probability = ScheduledFloat((0, 0.5), (8000, 0.125)) if probability is None else probability
        self.channel_dim = channel_dim

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not x.requires_grad or not chance(self.probability):
            return x
        means = (_mean_of_share(self.min_positive), _mean_of_share(self.max_positive))
        # The root mean square of a normal distribution is sqrt(pi / 2) times its mean magnitude.
        rms = (math.sqrt(math.pi / 2) * float(self.min_abs), math.sqrt(math.pi / 2) * float(self.max_abs))
        return _Balance.apply(x, means, rms, 0.04, self.channel_dim)


def _mean_of_share(positive: Scheduled) -> float:
    """Mean over deviation of a normal distribution with that share of positive values, roughly.

    1 / (sqrt(pi) ln 2) * atanh approximates the inverse error function well enough in the middle.
    """
    x = 2 * float(positive) - 1
    return 0.8139535143 * 0.5 * (math.log(1 + x + 1e-10) - math.log(1 - x + 1e-10))


class _Whiten(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: int, limit: float, scale: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.settings = groups, limit, scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (x,) = ctx.saved_tensors
        groups, limit, scale = ctx.settings
        metric, penalty = whitening(x.float(), groups)
        # Waiting for a GPU to learn the metric costs more than the product that knowing it saves.
        if not x.is_cuda and float(metric) < limit:
            return grad, None, None, None
        penalty = penalty()
        scale = scale * grad.float().norm() / (penalty.norm() + 1e-20) * (metric >= limit)
        return grad + (penalty * scale).to(grad.dtype), None, None, None


def whitening(x: Tensor, groups: int) -> tuple[Tensor, Callable[[], Tensor]]:
    """How far the channels (*, D), in ``groups``, are from uncorrelated and equally strong; how to get the gradient.

    The metric is mean(diag(C C)) / mean(diag(C))^2 of the covariance C: 1 when white, D / groups when all channels
    are one. The second value, called, gives the gradient, up to a positive factor, in the shape of x.
    """
    shape = x.shape
    x = x.reshape(-1, groups, shape[-1] // groups).transpose(0, 1)
    x = x - x.mean(dim=1, keepdim=True)
    covariance = x.transpose(1, 2) @ x
    strength = covariance.diagonal(dim1=1, dim2=2).mean()
    metric = covariance.square().sum() / (shape[-1] * strength.square() + 1e-20)

    def gradient() -> Tensor:
        towards = covariance / (strength + 1e-20)
        towards.diagonal(dim1=1, dim2=2).sub_(metric)
        return (x @ towards).transpose(0, 1).reshape(shape)

    return metric, gradient


class Whiten(nn.Module):
    """Where the channels' covariance is too far from white, add a gradient that whitens it, in a quarter of the steps.

    The reference looks less often (1 step in 40) while the limit holds, which is a state that a checkpoint would
    have to carry; the check is cheap enough to make every time.
    """

    def __init__(self, limit: Scheduled, groups: int = 1, grad_scale: float = 0.01, probability: float = 0.25):
        super().__init__()
        self.limit, self.groups, self.grad_scale, self.probability = limit, groups, grad_scale, probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not x.requires_grad or not chance(self.probability):
            return x
        return _Whiten.apply(x, self.groups, float(self.limit), self.grad_scale)


def whitening_limit(start: float, ratio: float = 2.0) -> ScheduledFloat:
    """A limit that loosens as training goes on."""
    return ScheduledFloat((0, start), (20000, ratio * start))


class _Limit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.limits = low, high
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,), (low, high) = ctx.saved_tensors, ctx.limits
        wrong_way = ((grad > 0) & (x < low)) | ((grad < 0) & (x > high))
        return torch.where(wrong_way, -grad, grad), None, None


def limit_parameter(x: Tensor, low: Scheduled, high: Scheduled, training: bool) -> Tensor:
    """In training, mostly, turn round the gradient of elements that would move further out of the range."""
    return _Limit.apply(x, float(low), float(high)) if training and chance(0.6) else x


class _PenaliseLarge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, limit: float, penalty: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.settings = limit, penalty
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,), (limit, penalty) = ctx.saved_tensors, ctx.settings
        return grad + penalty * (x.sign() * (x.abs() > limit)).to(grad.dtype), None, None


def penalise_large(x: Tensor, limit: float, penalty: float) -> Tensor:
    """Add ``penalty * sum |x|`` over the elements beyond ``limit`` to the loss, whatever the loss is."""
    return _PenaliseLarge.apply(x, limit, penalty)
