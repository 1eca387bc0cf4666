"""Batch norms over the joint batch of all devices.

torch's own needs a GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tinyint.qat.batch_norm.modules import normalize
from tinyint.qat.batch_norm.moments import together

__all__ = ["SyncedBatchNorm", "synchronize"]


def synchronize(module: nn.Module) -> nn.Module:
    """The module with its batch norms replaced, in place, parameters and statistics kept."""
    if isinstance(module, _BatchNorm) and not isinstance(module, SyncedBatchNorm):
        return SyncedBatchNorm(module)
    for name, child in list(module.named_children()):
        setattr(module, name, synchronize(child))
    return module


class SyncedBatchNorm(_BatchNorm):
    """Batch norm over (N, C, ...), N being that of all devices in training."""

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
        if not self.training or not together():
            return super().forward(input)
        result, mean, variance, count = normalize(input, self.weight, self.bias, self.eps)
        self._track(mean, variance * count / (count - 1).clamp_min(1.0))
        return result

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        rate = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            rate = 1 / float(self.num_batches_tracked) if rate is None else rate
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate or 0.0)
        self.running_var.lerp_(variance.to(self.running_var.dtype), rate or 0.0)
