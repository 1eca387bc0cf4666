"""Batch norms whose statistics are those of the joint batch of all devices; torch's own needs a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["SyncedBatchNorm", "synchronize"]


def synchronize(module: nn.Module) -> nn.Module:
    """The module with its batch norms replaced, in place, parameters and statistics kept."""
    if isinstance(module, _BatchNorm) and not isinstance(module, SyncedBatchNorm):
        return SyncedBatchNorm(module)
    for name, child in list(module.named_children()):
        setattr(module, name, synchronize(child))
    return module


class SyncedBatchNorm(_BatchNorm):
    """A batch norm over (N, C, ...), whose N in training is that of all devices."""

    def __init__(self, original: _BatchNorm) -> None:
        super().__init__(
            original.num_features,
            original.eps,
            original.momentum,
            original.affine,
            original.track_running_stats,
        )
        self.weight, self.bias = original.weight, original.bias
        self.running_mean, self.running_var = original.running_mean, original.running_var
        self.num_batches_tracked = original.num_batches_tracked
        self.training = original.training

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  torch's name
        if input.dim() < 2:
            raise ValueError(f"expected (N, C, ...), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        if not self.training or not distributed.is_initialized():
            return super().forward(input)
        axes = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        x = input.float()
        count = x.numel() // x.shape[1] * distributed.get_world_size()  # every device has as many samples
        mean = _joint_sum(x.sum(axes)) / count
        centred = x - mean.reshape(shape)
        variance = _joint_sum(centred.square().sum(axes)) / count
        self._track(mean.detach(), variance.detach() * count / max(count - 1, 1))
        result = centred * (variance + self.eps).rsqrt().reshape(shape)
        if self.affine:
            result = result * self.weight.reshape(shape) + self.bias.reshape(shape)
        return result.to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        rate = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            rate = 1 / float(self.num_batches_tracked) if rate is None else rate
        with torch.no_grad():
            self.running_mean.lerp_(mean, rate or 0.0)
            self.running_var.lerp_(variance, rate or 0.0)


class _JointSum(torch.autograd.Function):
    """The sum of a tensor over all devices; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def _joint_sum(tensor: Tensor) -> Tensor:
    result: Tensor = _JointSum.apply(tensor)  # type: ignore[no-untyped-call]
    return result
