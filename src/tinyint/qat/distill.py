"""Learning from the float model: a loss that needs no labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed

from tinyint.qat.batch_norm.moments import together

__all__ = ["distillation_loss"]

_SMALLEST_POWER = 1e-12


def distillation_loss(outputs: Any, targets: Any) -> Tensor:
    """Power of the difference over the signal's, averaged over outputs.

    Σ (y - t)² / Σ (t - mean t)².

    This is 10^(-SQNR / 10), whatever the scale and the meaning of the outputs. Both arguments have one structure: a
    tensor, or a sequence or mapping of tensors; those that are not floating are passed over.

    Where processes train together and gradients are recorded, the signal is that of the joint batch: the mean of the
    processes' losses is the loss of one process with all of it.
    """
    pairs = zip(_tensors(outputs), _tensors(targets), strict=True)
    floating = [(y.float(), t.detach().float()) for y, t in pairs if t.is_floating_point()]
    powers = torch.stack([_power(t) for _, t in floating])
    if together() and torch.is_grad_enabled():
        powers = _joint_powers(powers)
    losses = [(y - t).square().sum() for y, t in floating]
    return (torch.stack(losses) / powers[:, 2].clamp_min(_SMALLEST_POWER)).mean()


def _power(target: Tensor) -> Tensor:
    """(count, mean, Σ (t - mean)²), (3,) float64."""
    wide = target.double()
    mean = wide.mean()
    return torch.stack([torch.full_like(mean, target.numel()), mean, (wide - mean).square().sum()])


def _joint_powers(powers: Tensor) -> Tensor:
    """Those of all processes together, (outputs, 3), the power as a share of one process."""
    count, mean, power = powers.unbind(1)
    sums = torch.stack([count, count * mean, power + count * mean.square()])
    distributed.all_reduce(sums)
    count, mean, second = sums[0], sums[1] / sums[0], sums[2]
    power = (second - count * mean.square()).clamp_min(0.0) / distributed.get_world_size()
    return torch.stack([count, mean, power], dim=1)


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, Mapping):
        return [tensor for value in outputs.values() for tensor in _tensors(value)]
    assert isinstance(outputs, Sequence)
    return [tensor for value in outputs for tensor in _tensors(value)]
