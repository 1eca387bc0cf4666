"""How ranges flow through a graph: past clamps that a quantizer replaces, through operators that only move values."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.ops import Kind, data_inputs, facts, kind_of
from tinyint.graph.walk import constant_of, is_float32, sole_consumer

__all__ = ["clamp_range", "observed", "range_source", "settled"]


def observed(graph: ir.Graph) -> list[ir.Value]:
    """The tensors whose ranges decide every scale, on any target: inputs and outputs of operators with an int8 form,
    behind their clamps, and before operators that only move values."""
    found: dict[str, ir.Value] = {}
    for node in graph:
        if facts(node) is None or kind_of(node) is Kind.CLAMP:
            continue
        for value in (*(value for _, value in data_inputs(node)), *node.outputs):
            source = range_source(settled(value))
            if is_float32(source) and constant_of(source) is None:
                found[source.name or ""] = source
    return list(found.values())


def range_source(value: ir.Value) -> ir.Value:
    """The tensor whose values `value` holds a selection of: the first one before operators that only move values."""
    producer = value.producer()
    while producer is not None and kind_of(producer) is Kind.PRESERVING:
        source = producer.inputs[0]
        if source is None or constant_of(source) is not None:
            break
        value, producer = source, source.producer()
    return value


def settled(value: ir.Value) -> ir.Value:
    """The tensor behind the clamps that alone read `value`: the one that a quantizer is to hold."""
    reader = sole_consumer(value)
    while reader is not None and kind_of(reader) is Kind.CLAMP and clamp_range(reader) is not None:
        value = reader.outputs[0]
        reader = sole_consumer(value)
    return value


def clamp_range(node: ir.Node) -> tuple[float, float] | None:
    """What the clamp cuts to; None if the bounds are computed or leave zero out."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    bounds = [-float("inf"), float("inf")]
    for i in (1, 2):
        value = node.inputs[i] if i < len(node.inputs) else None
        if value is None:
            continue
        constant = constant_of(value)
        if constant is None:
            return None
        bounds[i - 1] = float(constant.reshape(()))
    lo, hi = bounds
    return (lo, hi) if lo <= 0.0 <= hi else None
