"""Mean and variance of channels over the joint batch of all processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional

__all__ = ["channel_moments", "scale_channels", "together"]


def together() -> bool:
    """Whether training is distributed; statistics are then global."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(mean, variance, count) of the channels of x (N, C, ...).

    Of each channel, (C,), and the number of elements in a channel, ().

    All float64. The variance is the biased one. Processes may have batches of different sizes; the gradient reaches the
    elements of all of them. The numbers do not depend on how the samples are spread over processes but for the last
    bits of float64.
    """
    mean, variance, count = _ChannelMoments.apply(x)  # type: ignore[no-untyped-call]
    return mean, variance, count


def scale_channels(x: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """x (N, C, ...) times `factor` plus `shift`, in one pass.

    Both are (C,); one pass forward and one backward.
    """
    factor, shift = factor.to(x.dtype), shift.to(x.dtype)
    return functional.batch_norm(x, torch.zeros_like(shift), torch.ones_like(shift), factor, shift, eps=0.0)


class _ChannelMoments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _sample_moments(x)
        means, mean = mean, mean.mean(0)
        variance = (variance + (means - mean).square()).mean(0)
        count = torch.full((), x.numel() // x.shape[1], dtype=torch.float64, device=x.device)
        if together():
            sums = torch.cat([count[None], count * mean, count * (variance + mean.square())])
            distributed.all_reduce(sums)
            count = sums[0]
            mean, second = (sums[1:] / count).chunk(2)
            variance = (second - mean.square()).clamp_min(0.0)
        ctx.save_for_backward(x, mean, count)
        ctx.mark_non_differentiable(count)
        return mean, variance, count

    @staticmethod
    def backward(ctx: Any, grad_mean: Tensor, grad_variance: Tensor, _: Tensor) -> Tensor:
        x, mean, count = ctx.saved_tensors
        if together():
            sums = torch.cat([grad_mean, grad_variance])
            distributed.all_reduce(sums)
            grad_mean, grad_variance = sums.chunk(2)
        slope = 2.0 * grad_variance / count
        return scale_channels(x, slope, grad_mean / count - slope * mean)


def _sample_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each sample by itself, (N, C) float64."""
    if x.dim() == 2:
        return x.double(), torch.zeros_like(x, dtype=torch.float64)
    variance, mean = torch.var_mean(x, list(range(2, x.dim())), correction=0)
    return mean.double(), variance.double()
