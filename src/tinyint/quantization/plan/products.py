"""Quantizers of products that read one format only, mostly of two computed tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx_ir as ir

from tinyint.graph.flow import clamp_range
from tinyint.graph.ops import Kind, data_inputs, facts, kind_of
from tinyint.graph.walk import constant_of, consumers
from tinyint.targets import OperatorRule, Output, Target, Weightless

__all__ = [
    "held_apart",
    "holders",
    "is_particular",
    "is_product",
    "moves",
    "read_by_products",
    "sources",
    "starts_at_zero",
]


def is_product(node: ir.Node) -> bool:
    """Whether the node multiplies two computed matrices."""
    return node.op_type == "MatMul" and all(constant_of(value) is None for value in node.inputs)


def is_particular(node: ir.Node, rule: OperatorRule) -> bool:
    """Whether the node reads operands of the one format that the rule names only."""
    return rule.operands is not None and (rule.weightless is Weightless.NEVER or is_product(node))


def moves(node: ir.Node, target: Target) -> bool:
    """Whether the quantizers before an int8 node serve its readers as well."""
    rule = target.operators.get(node.op_type)
    transparent = rule is not None and rule.output is Output.TRANSPARENT
    return transparent and kind_of(node) in (Kind.PRESERVING, Kind.JOIN)


def holders(node: ir.Node, passes: Callable[[ir.Node], bool]) -> Iterator[ir.Value]:
    """The tensors that hold the node's computed operands, seen through the operators that `passes`.

    A first operand that cannot be negative is left out: its zero-point is 0 in any case.
    """
    for position, value in enumerate(node.inputs[:2]):
        if value is None or constant_of(value) is not None:
            continue
        held = list(sources(value, passes))
        if position > 0 or not all(starts_at_zero(value) for value in held):
            yield from held


def held_apart(product: ir.Node, target: Target) -> bool:
    """Whether only int8 matrix products read the operands' quantized tensors."""
    return all(
        read_by_products(value, target) for value in holders(product, lambda node: moves(node, target))
    )


def sources(value: ir.Value, passes: Callable[[ir.Node], bool]) -> Iterator[ir.Value]:
    """The tensors that hold `value`, seen through the operators that `passes`."""
    producer = value.producer()
    if producer is None or not passes(producer):
        yield value
        return
    for _, source in data_inputs(producer):
        yield from sources(source, passes)


def starts_at_zero(value: ir.Value) -> bool:
    """Whether the operator that made the tensor leaves nothing below zero in it."""
    producer = value.producer()
    if producer is None:
        return False
    row = facts(producer)
    bounds = clamp_range(producer) or (None if row is None else row.output_range)
    return bounds is not None and bounds[0] >= 0


def read_by_products(value: ir.Value, target: Target) -> bool:
    """Whether products alone read the tensor in int8.

    Also after operators that move it.
    """
    for reader, _ in consumers(value):
        if moves(reader, target):
            if not all(read_by_products(out, target) for out in reader.outputs):
                return False
        elif (rule := target.operators.get(reader.op_type)) is not None and not rule.any_format:
            return False
    return True
