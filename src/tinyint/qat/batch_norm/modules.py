"""Trained batch norms: kept after their operators, folded for int8 arithmetic.

An operator y = W·x + b and its batch norm, with the running statistics μ and σ² = running_var + ε, make one operator

    a = γ / σ      W' = a·W      b' = a·(b - μ) + β      y' = W'·x + b'

It is W' that is quantized, in training as in evaluation and in the exported model. In training y' is then normalized by
the statistics of the batch. Those of y follow from those of y', as y = (y' - β) / a + μ, so that

    γ·(y - mean y) / √(var y + ε) + β  =  k·(y' - mean y') + β      k = √(σ² / (var y' / a² + ε))

Where the running statistics are those of the batch, k is 1 and nothing changes; nor does it in evaluation, or once the
statistics are frozen. A channel without variance, or with γ = 0, keeps its statistics.

Sources: Krishnamoorthi 2018 (arXiv 1806.08342), §3.2.2; Nagel et al. 2021 (arXiv 2106.08295), §5.2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinyint.qat.batch_norm.moments import channel_moments, scale_channels

_LEAST_SPREAD = 1e-12  # (std / mean)²; below it the variance is what float32 rounds

__all__ = ["BatchNorm", "Fold", "FoldedBatchNorm", "TrainedNorm", "normalize"]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Program step: [W, b or None, γ, β, μ, running_var] → (W', b', a).

    The numbers are those of `graph.passes.affine`: in float64, rounded once; a is float64. All but W are (C,).

    * `groups`: of the operator
    * `axis`: of W, that counts the output channels; of a group, for a ConvTranspose
    """

    epsilon: float
    axis: int
    groups: int = 1

    def __call__(self, values: list[Tensor | None]) -> tuple[Tensor, Tensor, Tensor]:
        weight, bias, *others = values
        gamma, beta, mean, variance = (v.double() for v in others if v is not None)
        assert weight is not None
        factor = gamma / torch.sqrt(variance + self.epsilon)
        offset = beta - mean * factor
        if bias is not None:
            offset = bias.double() * factor + offset
        folded: Tensor = _Scaled.apply(weight, self._beside(weight, factor))  # type: ignore[no-untyped-call]
        return folded, offset.to(weight.dtype), factor

    def _beside(self, weight: Tensor, factor: Tensor) -> Tensor:
        """`factor`, of a shape that broadcasts to the weight's."""
        rest = [1] * (weight.dim() - self.axis - 1)
        if self.axis == 0:
            return factor.reshape(-1, *rest)
        repeats = weight.shape[0] // self.groups
        return factor.reshape(self.groups, 1, -1).expand(-1, repeats, -1).reshape(weight.shape[0], -1, *rest)


class _Scaled(torch.autograd.Function):
    """weight · factor in float64, of which nothing is kept."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(weight, factor)
        return (weight.double() * factor).to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        weight, factor = ctx.saved_tensors
        return grad * factor.to(grad.dtype), (grad * weight).sum_to_size(factor.shape).double()


def normalize(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Batch norm of x (N, C, ...) by the joint batch's statistics.

    Returns the result, and the statistics: mean, biased variance, count.
    """
    wide = x.float()
    mean, variance, count = channel_moments(wide)
    factor = (variance + epsilon).rsqrt()
    factor = factor if weight is None else factor * weight
    shift = -mean * factor if bias is None else bias - mean * factor
    return scale_channels(wide, factor, shift).to(x.dtype), mean, variance, count


class TrainedNorm(nn.Module):
    """Batch norm in training: normalizes by the batch, updates running statistics.

    * `rate`: of the moving average: (1 - rate) · old + rate · new
    * `mean`, `variance`: the names of the running statistics in the graph
    * `frozen`: whether the running statistics stay, and serve in training too
    * `estimating`: whether the batch counts in evaluation too
    * `seen`: mean and unbiased variance of the last batch that counted, (C,), and how many elements a channel had, ();
      float64
    """

    def __init__(self, epsilon: float, rate: float, mean: str, variance: str) -> None:
        super().__init__()
        self.epsilon, self.rate = epsilon, rate
        self.mean, self.variance = mean, variance
        self.frozen = self.estimating = False
        self.seen: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def _fixed(self) -> bool:
        return not self.estimating and (self.frozen or not self.training)

    def take_seen(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """`seen`, once."""
        seen, self.seen = self.seen, None
        return seen


def _unbiased(variance: Tensor, count: Tensor) -> Tensor:
    return variance * (count / (count - 1).clamp_min(1.0))


class BatchNorm(TrainedNorm):
    """Separate batch norm: a step [x, γ, β, μ, running_var] → (y,)."""

    def forward(self, values: list[Tensor]) -> tuple[Tensor]:
        x, scale, shift, mean, variance = values
        if self._fixed:
            return (functional.batch_norm(x, mean, variance, scale, shift, eps=self.epsilon),)
        y, now, spread, count = normalize(x, scale, shift, self.epsilon)
        self.seen = now.detach(), _unbiased(spread.detach(), count), count
        return (y,)


class FoldedBatchNorm(TrainedNorm):
    """Rest of a folded batch norm: [y', a, β, μ, running_var] → (y,)."""

    def forward(self, values: list[Tensor]) -> tuple[Tensor]:
        x, factor, shift, running_mean, running_var = values
        if self._fixed:
            return (x,)
        wide = x.float()
        mean, variance, count = channel_moments(wide)
        usable = (factor != 0) & (variance > _LEAST_SPREAD * mean.square())
        a, spread = torch.where(usable, factor, 1.0), torch.where(usable, variance, 1.0)
        before = spread / a.square()  # the variance of the operator's own output
        old = running_var.double()
        ratio = torch.where(usable, torch.sqrt((old + self.epsilon) / (before + self.epsilon)), 1.0)
        y = scale_channels(wide, ratio, shift - ratio * mean).to(x.dtype)
        with torch.no_grad():
            moved = torch.where(usable, (mean - shift) / a, 0.0) + running_mean.double()
            self.seen = moved, torch.where(usable, _unbiased(before, count), old), count
        return (y,)
