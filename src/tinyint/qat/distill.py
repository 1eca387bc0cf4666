"""Learning from the float model: a loss that needs no labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["distillation_loss"]

_SMALLEST_POWER = 1e-12


def distillation_loss(outputs: Any, targets: Any) -> Tensor:
    """The power of the difference as a share of the signal's, Σ (y - t)² / Σ (t - mean t)², averaged over the outputs.

    This is 10^(-SQNR / 10), whatever the scale and the meaning of the outputs. Both arguments have one structure: a
    tensor, or a sequence or mapping of tensors; those that are not floating are passed over.
    """
    pairs = list(zip(_tensors(outputs), _tensors(targets), strict=True))
    losses = [_share(y.float(), t.detach().float()) for y, t in pairs if t.is_floating_point()]
    return torch.stack(losses).mean()


def _share(y: Tensor, target: Tensor) -> Tensor:
    power = (target - target.mean()).square().sum()
    return (y - target).square().sum() / power.clamp_min(_SMALLEST_POWER)


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, Mapping):
        return [tensor for value in outputs.values() for tensor in _tensors(value)]
    assert isinstance(outputs, Sequence)
    return [tensor for value in outputs for tensor in _tensors(value)]
