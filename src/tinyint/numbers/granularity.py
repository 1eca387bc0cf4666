"""Granularity of scales: per tensor, per axis index, or per block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PER_TENSOR",
    "Granularity",
    "PerAxis",
    "PerBlock",
    "PerTensor",
    "axis_of",
    "has_shape",
    "per_axis",
    "rows",
    "scales_of",
    "spread",
]

Values: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class PerTensor:
    """One scale, of shape ()."""

    def __str__(self) -> str:
        return "per tensor"


@dataclass(frozen=True)
class PerAxis:
    """One scale per index along `axis`, of shape (C,)."""

    axis: int

    def __str__(self) -> str:
        return f"per channel, axis {self.axis}"


@dataclass(frozen=True)
class PerBlock:
    """One scale per `size` neighbours along `axis`.

    The scales have the tensor's shape, with the number of blocks along the axis. The last block of a row may be shorter
    (ONNX operator specification, DequantizeLinear-21).
    """

    axis: int
    size: int

    def __str__(self) -> str:
        return f"per block of {self.size}, axis {self.axis}"


Granularity: TypeAlias = PerTensor | PerAxis | PerBlock
PER_TENSOR = PerTensor()


def per_axis(axis: int | None) -> PerTensor | PerAxis:
    """Granularity per index of the axis; per tensor without an axis."""
    return PER_TENSOR if axis is None else PerAxis(axis)


def axis_of(granularity: Granularity) -> int | None:
    """Axis with one scale per index; None for a single scale.

    Raises ValueError for blocks.
    """
    match granularity:
        case PerTensor():
            return None
        case PerAxis(axis):
            return axis
    raise ValueError(f"scales {granularity} are not those of an axis")


def has_shape(granularity: Granularity, scales: Values) -> bool:
    """Whether scales of this granularity may have this shape."""
    match granularity:
        case PerTensor():
            return scales.ndim == 0
        case PerAxis():
            return scales.ndim == 1
        case PerBlock():
            return granularity.axis < scales.ndim


def spread(scales: Values, granularity: Granularity, shape: tuple[int, ...]) -> Values:
    """Values per scale, reshaped to broadcast over a tensor of this shape."""
    match granularity:
        case PerTensor():
            return scales
        case PerAxis(axis):
            ends = [1] * len(shape)
            ends[axis] = -1
            return scales.reshape(ends)
        case PerBlock(axis, size):
            return np.repeat(scales, size, axis).take(range(shape[axis]), axis)


def rows(tensor: Values, granularity: Granularity) -> Values:
    """Elements grouped by scale, (scales, elements); short blocks are padded with zeros."""
    match granularity:
        case PerTensor():
            return tensor.reshape(1, -1)
        case PerAxis(axis):
            return np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1)
        case PerBlock(axis, size):
            moved = np.moveaxis(tensor, axis, -1)
            padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, -moved.shape[-1] % size)])
            return padded.reshape(-1, size)


def scales_of(values: Values, granularity: Granularity, shape: tuple[int, ...]) -> Values:
    """Values per row of `rows`, (scales,), reshaped to the tensor's scales."""
    match granularity:
        case PerTensor():
            return values.reshape(())
        case PerAxis():
            return values
        case PerBlock(axis):
            others = [size for i, size in enumerate(shape) if i != axis]
            return np.moveaxis(values.reshape(*others, -1), -1, axis)
