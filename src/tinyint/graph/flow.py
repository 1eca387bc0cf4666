"""Flow of ranges through epilogues and through operators that only move values.

An epilogue is a clamp (Relu, Clip), or the Add of a bias after a MatMul with constant weights. It belongs to the
operator before it: the two run as one kernel.
"""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, data_inputs, facts, kind_of
from tinyint.graph.walk import constant_of, is_float32, sole_consumer, static_shape

__all__ = ["bias_position", "clamp_range", "is_epilogue", "observed", "range_source", "settled"]


def observed(graph: ir.Graph) -> list[ir.Value]:
    """Tensors whose ranges decide all scales, on any target.

    These are the inputs and outputs of operators with an int8 form, taken after epilogues and before operators that
    only move values.
    """
    tensors: dict[str, ir.Value] = {}
    for node in graph:
        if facts(node) is None or is_epilogue(node):
            continue
        for value in (*(value for _, value in data_inputs(node)), *node.outputs):
            source = range_source(settled(value))
            if is_float32(source) and constant_of(source) is None:
                tensors[name_of(source)] = source
    return list(tensors.values())


def range_source(value: ir.Value) -> ir.Value:
    """Tensor from which `value` comes through operators that only move values, else itself."""
    producer = value.producer()
    while producer is not None and kind_of(producer) is Kind.PRESERVING:
        source = producer.inputs[0]
        if source is None or constant_of(source) is not None:
            break
        value, producer = source, source.producer()
    return value


def settled(value: ir.Value) -> ir.Value:
    """Tensor to quantize in place of `value`: the one after its epilogues.

    An epilogue counts only if nothing else reads its input.
    """
    reader = sole_consumer(value)
    while reader is not None and (bias_position(reader) is not None or clamp_range(reader) is not None):
        value = reader.outputs[0]
        reader = sole_consumer(value)
    return value


def is_epilogue(node: ir.Node) -> bool:
    """Whether the node belongs to the operator before it."""
    return kind_of(node) is Kind.CLAMP or bias_position(node) is not None


def bias_position(node: ir.Node) -> int | None:
    """Index of the Add's input that is the bias of a MatMul, else None.

    The other input is the product by a constant matrix, and only the Add reads it. A bias has one number per column.
    """
    if node.op_type != "Add" or len(node.inputs) != 2:
        return None
    for i, value in enumerate(node.inputs):
        other = node.inputs[1 - i]
        product = None if other is None else other.producer()
        if other is None or product is None or not _has_no_bias(product) or sole_consumer(other) is not node:
            continue
        weight = static_shape(product.inputs[1])
        columns = weight[1:] if weight is not None and len(weight) == 2 else None
        constants = (constant_of(product.inputs[1]), constant_of(value))
        if all(c is not None for c in constants) and static_shape(value) == columns:
            return i
    return None


def _has_no_bias(product: ir.Node) -> bool:
    """Whether the operator has weights but no bias input (MatMul)."""
    row = facts(product)
    return row is not None and row.weight is not None and row.bias is None


def clamp_range(node: ir.Node) -> tuple[float, float] | None:
    """Range of a Relu or Clip.

    None for other nodes, and if the bounds are computed or exclude zero.
    """
    if kind_of(node) is not Kind.CLAMP:
        return None
    if node.op_type == "Relu":
        return 0.0, float("inf")
    bounds = [-float("inf"), float("inf")]
    for i in (1, 2):
        value = node.inputs[i] if i < len(node.inputs) else None
        if value is None:
            continue
        constant = constant_of(value)
        if constant is None or constant.size != 1:
            return None
        bounds[i - 1] = float(constant.reshape(()))
    lo, hi = bounds
    return (lo, hi) if lo <= 0.0 <= hi else None
