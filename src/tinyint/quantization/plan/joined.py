"""Concats along an axis by which a target's kernel cannot dequantize.

OpenVINO moves the quantizer after a Concat before it, and gives each part zero-points of its own, of the shape of the
joined axis. A product takes those only along the axis that it sums over.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, kind_of
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.products import moves, read_by_products, sources, starts_at_zero
from tinyint.targets import Target

__all__ = ["joined_in", "unjoinable"]

_KEEP_AXES = ("MaxPool", "Transpose")
"""Of the operators that move values, those that are moved past themselves."""


def unjoinable(graph: ir.Graph, target: Target, decisions: Decisions) -> dict[str, str]:
    """Int8 nodes that need float because of a Concat before them, with reasons."""
    found = {}
    for node in graph:
        joined = joined_in(node, target, decisions)
        if joined is None:
            continue
        rule = target.operators[node.op_type]
        held = sources(node.inputs[0], lambda n: moves(n, target)) if node.inputs[0] is not None else ()
        if rule.joined is None or not all(read_by_products(value, target) for value in held):
            found[name_of(node)] = (
                f"{target.name} has no int8 {node.op_type} after {joined.name!r}, which joins along another axis than "
                f"{rule.joined_along}, unless nothing is negative"
            )
    return found


def joined_in(node: ir.Node, target: Target, decisions: Decisions) -> ir.Node | None:
    """First Concat before an int8 node along an axis outside its rule."""
    rule = target.operators.get(node.op_type)
    value = node.inputs[0] if node.inputs else None
    if rule is None or rule.joined_along is None or not decisions.runs_int8(node) or value is None:
        return None
    if value.shape is None:
        return None
    return next(_joined(value, rule.joined_along % len(value.shape), decisions), None)


def _joined(value: ir.Value, axis: int, decisions: Decisions) -> Iterator[ir.Node]:
    """Each Concat before `value` along another axis than `axis`, whose result may be negative."""
    producer = value.producer()
    source = None if producer is None or not producer.inputs else producer.inputs[0]
    if producer is None or source is None or source.shape is None or starts_at_zero(value):
        return
    if producer.op_type == "Concat":
        parts = [part for part in producer.inputs if part is not None]
        if producer.attributes.get_int("axis", 0) % len(source.shape) == axis:
            yield from (before for part in parts for before in _joined(part, axis, decisions))
        elif not all(map(starts_at_zero, parts)):
            yield producer
    elif kind_of(producer) is Kind.CLAMP:
        yield from _joined(source, axis, decisions)
    elif producer.op_type in _KEEP_AXES and decisions.runs_int8(producer):
        if producer.op_type == "Transpose":
            axis = producer.attributes.get_ints("perm", tuple(reversed(range(len(source.shape)))))[axis]
        yield from _joined(source, axis, decisions)
