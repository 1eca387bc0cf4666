"""Biases and fences that int8 operators need to be right on a target.

A bias that changes nothing (`qdq.insert`), or a fence before operators that would be folded into the quantizer after
it.
"""

from __future__ import annotations

from collections.abc import Container

import onnx_ir as ir

from tinyint.graph.flow import bias_position, settled
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, facts, kind_of
from tinyint.graph.walk import constant_of, consumers, sole_consumer, static_shape
from tinyint.numbers.numerics import is_uniform
from tinyint.quantization.plan.plan import Use
from tinyint.targets import OperatorRule, Target

__all__ = ["fenced_reader", "needed_bias"]

_FOLDED = frozenset({"Add", "Div", "Mul", "Neg", "Sub"})


def needed_bias(node: ir.Node, target: Target, quantized: Container[str]) -> Use | None:
    """Place of the bias that an int8 node needs, if any.

    `quantized`: the tensors that have a quantizer.

    A MatMul that nothing is added to gets it at position 2, as a Gemm.
    """
    row, rule = facts(node), target.operators.get(node.op_type)
    if row is None or rule is None:
        return None
    if rule.needs_bias and row.bias is not None and _is_forked(node, row.bias):
        return name_of(node), row.bias
    return _uneven(node, rule, quantized)


def _is_forked(node: ir.Node, position: int) -> bool:
    """Whether several read what the node gives without a bias, or with one of zeros."""
    bias = node.inputs[position] if len(node.inputs) > position else None
    known = constant_of(bias)
    if bias is not None and (known is None or known.any()):
        return False
    value = node.outputs[0]
    while (reader := sole_consumer(value)) is not None and kind_of(reader) is Kind.PRESERVING:
        value = reader.outputs[0]
    return reader is None and bool(consumers(value))


def fenced_reader(node: ir.Node, target: Target, quantized: Container[str]) -> ir.Node | None:
    """Arithmetic with constants that the target would fold into a later quantizer.

    No bias mends it: it would be folded too.
    """
    rule = target.operators.get(node.op_type)
    if facts(node) is None or rule is None or not _has_few_rows(node, rule):
        return None
    value, first = settled(node.outputs[0]), None
    while name_of(value) not in quantized:
        reader = sole_consumer(value)
        if reader is None or len([v for v in reader.inputs if constant_of(v) is None and v is not None]) != 1:
            return None
        first = first or (reader if reader.op_type in _FOLDED else None)
        value = reader.outputs[0]
    return first


def _has_few_rows(product: ir.Node, rule: OperatorRule) -> bool:
    """Whether weights multiply a matrix of few rows, or of an open number, and there are several columns."""
    shape = static_shape(product.outputs[0])
    if not rule.uneven_bias or shape is None or len(shape) != 2 or constant_of(product.inputs[1]) is None:
        return False
    rows, columns = shape
    return (rows is None or rows <= rule.uneven_bias) and columns != 1


def _uneven(product: ir.Node, rule: OperatorRule, quantized: Container[str]) -> Use | None:
    """Of such a product with a quantizer after it."""
    if not _has_few_rows(product, rule) or name_of(settled(product.outputs[0])) not in quantized:
        return None
    reader = sole_consumer(product.outputs[0])
    added = None if reader is None else bias_position(reader)
    place, position = (product, 2) if reader is None or added is None else (reader, added)
    bias = place.inputs[position] if len(place.inputs) > position else None
    known = constant_of(bias)
    if bias is not None and (known is None or not is_uniform(known)):
        return None
    return name_of(place), position
