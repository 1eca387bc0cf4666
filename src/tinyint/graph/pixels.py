"""Tensors whose values are the bytes of an image, less a zero-point.

bytes → [Pad, Transpose, Reshape] → DequantizeLinear, of a scale that is a power of two
bytes → Cast → [Pad, Transpose, Reshape] → Sub, where the runtime takes bytes as inputs alone
"""

from __future__ import annotations

from math import frexp

import onnx_ir as ir

from tinyint.graph.walk import constant_of

__all__ = ["pixel_range"]

_BEFORE = ("Reshape", "Transpose", "Pad", "Cast")
_BRIGHTEST = 255
_INPUTS = {"DequantizeLinear": 3, "Sub": 2}  # operator: inputs
_HALF = 0.5  # mantissa of a power of two


def pixel_range(value: ir.Value) -> tuple[float, float] | None:
    """Range of bytes with a scale and zero-point; None for any other tensor.

    It is [-z, 255 - z] times the scale.
    """
    node = value.producer()
    if node is None or node.domain != "" or node.op_type not in _INPUTS:
        return None
    source, zero_point = node.inputs[0], _number(node.inputs[-1])
    scale = _number(node.inputs[1]) if node.op_type == "DequantizeLinear" else 1.0
    if scale is None or frexp(scale)[0] != _HALF or len(node.inputs) != _INPUTS[node.op_type]:
        return None
    if source is None or zero_point is None or zero_point % 1 or not _is_of_bytes(source):
        return None
    return -zero_point * scale, (_BRIGHTEST - zero_point) * scale


def _number(value: ir.Value | None) -> float | None:
    array = constant_of(value)
    return None if array is None or array.size != 1 else float(array.reshape(()))


def _is_of_bytes(value: ir.Value) -> bool:
    producer = value.producer()
    while producer is not None and producer.op_type in _BEFORE and producer.inputs[0] is not None:
        if producer.op_type == "Cast" and value.dtype != ir.DataType.FLOAT:
            return False
        value = producer.inputs[0]
        producer = value.producer()
    return value.dtype == ir.DataType.UINT8 and constant_of(value) is None
