"""Operators that create tensors, and padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Function, Maker, Node

__all__ = ["OPERATORS"]


def _range(node: Node) -> Function:
    readers = [node.reader(i) for i in range(3)]
    constants = [node.constant(i) for i in range(3)]
    type_name = next((str(array.dtype) for array in constants if array is not None), None)

    def numbers(*bounds: Tensor | None) -> Tensor:
        like = next((t for t in bounds if isinstance(t, Tensor)), None)
        dtype = getattr(torch, type_name or "int64") if like is None else like.dtype
        start, limit, step = (read(t) for read, t in zip(readers, bounds, strict=True))
        return torch.arange(start, limit, step, dtype=dtype, device=None if like is None else like.device)

    return numbers


def _constant_of_shape(node: Node) -> Function:
    shapes, value = node.reader(0), node.tensor("value")
    number = torch.zeros(1) if value is None else value

    def constant(shape: Tensor | None = None) -> Tensor:
        device = shape.device if isinstance(shape, Tensor) else None
        return torch.full(shapes(shape), number.item(), dtype=number.dtype, device=device)

    return constant


def _eye_like(node: Node) -> Function:
    dtype, k = node.dtype("dtype"), node.integer("k")

    def eye(x: Tensor) -> Tensor:
        ones = torch.ones(x.shape, dtype=dtype or x.dtype, device=x.device)
        return torch.triu(torch.tril(ones, k), k)

    return eye


def _pad(node: Node) -> Function:
    mode = node.text("mode", "constant")
    if node.opset < 11:
        fixed, value = node.integers("pads") or [], node.real("value")
        return lambda x: _padded(x, mode, fixed, range(x.dim()), value)
    pads, values, axes = node.reader(1), node.reader(2), node.reader(3)

    def pad(
        x: Tensor, size: Tensor | None = None, fill: Tensor | None = None, on: Tensor | None = None
    ) -> Tensor:
        padded_axes, value = axes(on), values(fill)
        value = value[0] if isinstance(value, list) else value
        return _padded(
            x, mode, pads(size), range(x.dim()) if padded_axes is None else padded_axes, value or 0
        )

    return pad


def _padded(x: Tensor, mode: str, pads: Sequence[int], axes: Sequence[int], value: float) -> Tensor:
    ends = dict(
        zip([a % x.dim() for a in axes], zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True)
    )
    if mode == "constant":
        flat = [n for axis in reversed(range(x.dim())) for n in ends.get(axis, (0, 0))]
        return functional.pad(x, flat, value=value)
    for axis, (begin, end) in ends.items():
        if begin or end:
            x = x.index_select(axis, _source_indices(x.shape[axis], begin, end, mode, x.device))
    return x


def _source_indices(size: int, begin: int, end: int, mode: str, device: torch.device) -> Tensor:
    """Index in the axis for each index of the padded axis."""
    indices = torch.arange(-begin, size + end, device=device)
    if mode == "edge":
        return indices.clamp(0, size - 1)
    if mode == "wrap":
        return indices % size
    period = max(2 * (size - 1), 1)
    folded = indices % period
    return torch.where(folded < size, folded, period - folded)


OPERATORS: dict[str, Maker] = {
    "Range": _range,
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "Pad": _pad,
}
