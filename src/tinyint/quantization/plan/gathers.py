"""Gathers in float whose data a runtime takes for dequantized ones."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from tinyint.graph.flow import range_source
from tinyint.graph.ops import Kind, kind_of
from tinyint.graph.walk import constant_of, static_shape

__all__ = ["is_misread_gather"]

_SCALES = frozenset({"Mul", "Div"})
_PASSED = frozenset({"Add", "Sub"})


def is_misread_gather(node: ir.Node, runs_int8: Callable[[ir.Node], bool]) -> bool:
    """Whether a Gather in float reads data that look dequantized.

    So do those that several constants scale, or that are subtracted from such, but for a vector of indices; and the
    results of int8 products, whatever the indices.
    """
    data, indices = (*node.inputs, None, None)[:2]
    if node.op_type != "Gather" or data is None or indices is None or runs_int8(node):
        return False
    if len(static_shape(indices) or ()) != 1 and _is_scaled(data):
        return True
    producer = range_source(data).producer()
    return producer is not None and kind_of(producer) is Kind.COMPUTE and runs_int8(producer)


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
