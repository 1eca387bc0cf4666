"""Gathers in float whose data a runtime takes for dequantized ones."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.ops import Kind, kind_of
from tinyint.graph.walk import constant_of, static_shape

__all__ = ["is_misread_gather"]

_SCALES = frozenset({"Mul", "Div"})
_PASSED = frozenset({"Add", "Sub"})


def is_misread_gather(node: ir.Node) -> bool:
    """Whether a Gather's data look as if dequantized by channels.

    So do those that several constants scale, or that are subtracted from such. By a vector of indices it is no matter.
    """
    data, indices = (*node.inputs, None, None)[:2]
    if node.op_type != "Gather" or data is None or indices is None:
        return False
    return len(static_shape(indices) or ()) != 1 and _is_scaled(data)


def _is_scaled(value: ir.Value | None) -> bool:
    """Whether it comes so from arithmetic with constants, be it moved afterwards."""
    while (producer := None if value is None else value.producer()) is not None:
        several = [i for i, v in enumerate(producer.inputs) if _holds_several(v)]
        if several and (producer.op_type in _SCALES or (producer.op_type == "Sub" and 0 in several)):
            return True
        if kind_of(producer) is not Kind.PRESERVING and producer.op_type not in _PASSED:
            return False
        value = next((v for v in producer.inputs if v is not None and constant_of(v) is None), None)
    return False


def _holds_several(value: ir.Value | None) -> bool:
    array = constant_of(value)
    return array is not None and array.size > 1
