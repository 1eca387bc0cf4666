"""QuantizeLinear and DequantizeLinear of a graph that has them already; rounding passes no gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from tinyint.torch_graph.operators.node import Function, Maker, Node

__all__ = ["OPERATORS"]


def _along(values: Tensor, like: Tensor, axis: int, block: int) -> Tensor:
    """Values (one, one per index of `axis`, or one per block) that broadcast to `like`."""
    if block:
        return values.repeat_interleave(block, axis).narrow(axis, 0, like.shape[axis])
    if values.dim() != 1 or values.numel() == 1:
        return values.reshape(()) if values.numel() == 1 else values
    return values.reshape([-1 if a == axis % like.dim() else 1 for a in range(like.dim())])


def _quantize(node: Node) -> Function:
    axis, block, output_dtype = (
        node.integer("axis", 1),
        node.integer("block_size"),
        node.dtype("output_dtype"),
    )

    def quantize(x: Tensor, scale: Tensor, zero_point: Tensor | None = None) -> Tensor:
        dtype = zero_point.dtype if zero_point is not None else output_dtype or torch.uint8
        limits = torch.iinfo(dtype)
        codes = torch.round(x / _along(scale, x, axis, block).to(x.dtype)).double()
        if zero_point is not None:
            codes = codes + _along(zero_point.double(), x, axis, block)
        return codes.clamp(limits.min, limits.max).to(torch.int64).to(dtype)

    return quantize


def _dequantize(node: Node) -> Function:
    axis, block, output_dtype = (
        node.integer("axis", 1),
        node.integer("block_size"),
        node.dtype("output_dtype"),
    )

    def dequantize(x: Tensor, scale: Tensor, zero_point: Tensor | None = None) -> Tensor:
        codes = x.to(torch.int64)
        if zero_point is not None:
            codes = codes - _along(zero_point.to(torch.int64), x, axis, block)
        dtype = output_dtype or scale.dtype
        return codes.to(dtype) * _along(scale, x, axis, block).to(dtype)

    return dequantize


OPERATORS: dict[str, Maker] = {"QuantizeLinear": _quantize, "DequantizeLinear": _dequantize}
