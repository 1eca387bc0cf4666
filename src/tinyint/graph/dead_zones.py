"""Dead zones: values of a tensor that all its readers take for the same.

HardSwish, x · HardSigmoid(x), gives 0 for every x ≤ -3, and HardSigmoid the same number for all beyond its bends. A
quantizer needs no codes for what lies there. Exporters write HardSwish as one operator, or as Add, Clip, Mul and Div.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from tinyint.graph.flow import clamp_range
from tinyint.graph.ops import Kind, kind_of
from tinyint.graph.walk import constant_of, consumers, sole_consumer

__all__ = ["live_range"]

_HARD_SWISH = -3.0, math.inf


def live_range(value: ir.Value) -> tuple[float, float] | None:
    """Range outside which no reader of `value` tells a value from the nearer end.

    None where there is no such range. It holds zero.
    """
    readers = consumers(value)
    if value.is_graph_output() or not readers:
        return None
    gated = _gated(value)
    ranges = [gated] if gated is not None else [_of_reader(node, position) for node, position in readers]
    if not all(ranges):
        return None
    lo, hi = min(r[0] for r in ranges if r), max(r[1] for r in ranges if r)
    return (min(lo, 0.0), max(hi, 0.0)) if lo > -math.inf or hi < math.inf else None


def _of_reader(node: ir.Node, position: int) -> tuple[float, float] | None:
    if position != 0 or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "HardSwish":
        return _HARD_SWISH
    if node.op_type == "HardSigmoid":
        return _bends(node)
    if kind_of(node) is Kind.PRESERVING:
        return live_range(node.outputs[0])
    return clamp_range(node)


def _bends(node: ir.Node) -> tuple[float, float] | None:
    """Where a HardSigmoid, max(0, min(1, α·x + β)), becomes flat."""
    alpha, beta = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
    return (-beta / alpha, (1 - beta) / alpha) if alpha > 0 else None


def _gated(value: ir.Value) -> tuple[float, float] | None:
    """Range of x where x · gate(x) is not zero for a gate of x that is zero up to some point."""
    readers = [node for node, _ in consumers(value)]
    if len(readers) != 2:
        return None
    for product, gate in (readers, readers[::-1]):
        if product.op_type != "Mul" or product is gate:
            continue
        (other,) = [v for v in product.inputs if v is not value] or [None]
        bend = _bend(gate, value)
        if other is not None and bend is not None and _end(bend[1]) is other:
            return bend[0], math.inf
    return None


def _bend(node: ir.Node, value: ir.Value) -> tuple[float, ir.Value] | None:
    """Point up to which a gate is zero, and the gate's output."""
    if node.op_type == "HardSigmoid":
        bends = _bends(node)
        return None if bends is None else (bends[0], node.outputs[0])
    if node.op_type != "Add":
        return None
    shift = _number(next((v for v in node.inputs if v is not value), None))
    clip = sole_consumer(node.outputs[0])
    if shift is None or clip is None or (clamp_range(clip) or (-1.0,))[0] != 0.0:
        return None
    return -shift, clip.outputs[0]


def _end(value: ir.Value) -> ir.Value:
    """The value after products with and quotients by numbers, which keep zeros."""
    reader = sole_consumer(value)
    while reader is not None and reader.op_type in ("Mul", "Div") and reader.inputs[0] is value:
        if not _number(reader.inputs[1]):
            break
        value, reader = reader.outputs[0], sole_consumer(reader.outputs[0])
    return value


def _number(value: ir.Value | None) -> float | None:
    array = constant_of(value)
    return float(array.reshape(())) if array is not None and array.size == 1 else None
