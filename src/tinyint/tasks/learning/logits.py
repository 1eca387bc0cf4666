"""Outputs of a model in training as tensors, and labels for its logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tinyint.errors import DataError, ModelError

__all__ = ["fit_labels", "logits_of", "tensors_of"]


def tensors_of(outputs: Any) -> list[Tensor]:
    """Tensors that a model returned, in order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, Mapping):
        return [tensor for value in outputs.values() for tensor in tensors_of(value)]
    if isinstance(outputs, tuple | list):
        return [tensor for value in outputs for tensor in tensors_of(value)]
    raise ModelError(f"the model returns a {type(outputs).__name__}; expected tensors")


def logits_of(outputs: Any) -> Tensor:
    """First output, (N, classes, ...), in float32; raises ModelError if it has another form."""
    first = tensors_of(outputs)[0]
    if first.ndim < 2 or not first.is_floating_point():
        raise ModelError(
            f"the model's first output is {first.dtype} of shape {tuple(first.shape)}; the loss needs logits of shape "
            "(batch, classes, ...): export the model without what follows them, such as ArgMax"
        )
    return first.float()


def fit_labels(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels reshaped to (N, ...) for logits (N, C, ...). Raises DataError."""
    shape = torch.Size((logits.shape[0], *logits.shape[2:]))
    if labels.numel() != shape.numel():
        raise DataError(
            f"labels of shape {tuple(labels.shape)} do not fit logits of shape {tuple(logits.shape)}; expected "
            f"{tuple(shape)}"
        )
    return labels.reshape(shape)
