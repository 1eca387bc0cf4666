"""Clip from zero without an upper bound, and Max with zero, as Relu."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.graph.edit import replace_node
from tinyint.graph.walk import constant_of, static_shape

__all__ = ["recognize_relu"]


def recognize_relu(model: ir.Model) -> None:
    """Rewrites both forms on float tensors, in place."""
    for node in list(model.graph):
        if node.domain != "" or node.op_type not in {"Clip", "Max"}:
            continue
        source = _clipped(node) if node.op_type == "Clip" else _max_with_zero(node)
        if source is not None:
            replace_node(node, "Relu", [source])


def _clipped(node: ir.Node) -> ir.Value | None:
    source, low, high = (*node.inputs, None, None)[:3]
    floor, ceiling = constant_of(low), constant_of(high)
    if floor is None or not _is_zero(floor) or (high is not None and ceiling is None):
        return None
    return source if ceiling is None or _is_unbounded(ceiling) else None


def _max_with_zero(node: ir.Node) -> ir.Value | None:
    if len(node.inputs) != 2:
        return None
    for source, other in ((node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])):
        zero, shape = constant_of(other), static_shape(source)
        if zero is None or zero.size != 1 or not _is_zero(zero):
            continue
        if zero.ndim == 0 or (shape is not None and zero.ndim <= len(shape)):
            return source
    return None


def _is_zero(array: NDArray[np.generic]) -> bool:
    return np.issubdtype(array.dtype, np.floating) and not array.any()


def _is_unbounded(ceiling: NDArray[np.generic]) -> bool:
    """Whether the bound is infinity, or the type's largest number, which exporters write for it."""
    wide = ceiling.astype(np.float64)
    return bool((wide >= float(np.finfo(ceiling.dtype.type).max)).all())  # type: ignore[type-var]
