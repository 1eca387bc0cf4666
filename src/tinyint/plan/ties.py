"""Which tensors share one scale: those that an operator moves values between without touching them."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from tinyint.graph.flow import clamp_range, is_epilogue
from tinyint.graph.ops import Kind, data_inputs, kind_of
from tinyint.plan.nodes import Decisions
from tinyint.targets import Output, Target

__all__ = ["cut_of", "groups"]


def groups(graph: ir.Graph, target: Target, decisions: Decisions, quantized: Iterable[str]) -> dict[str, str]:
    """For each quantized tensor, the first one of those that it shares its scale with."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for node in graph:
        if decisions[node.name or ""] is None and not is_epilogue(node) and _is_tied(node, target):
            values = [*(value for _, value in data_inputs(node)), *node.outputs]
            first, *others = [value.name or "" for value in values]
            for other in others:
                parent[root(other)] = root(first)
    first_of: dict[str, str] = {}
    return {name: first_of.setdefault(root(name), name) for name in quantized}


def _is_tied(node: ir.Node, target: Target) -> bool:
    """Whether the operator's tensors share one scale.

    A join of a clamped and a free tensor need not, and is better off so: a range of its own lets the quantizer
    replace the clamp.
    """
    rule = target.operators[node.op_type]
    if kind_of(node) is not Kind.JOIN or rule.output is Output.TRANSPARENT:
        return rule.tied
    return rule.tied and len({cut_of(value) for _, value in data_inputs(node)}) == 1


def cut_of(value: ir.Value) -> tuple[float, float] | None:
    """The range that the clamp which made the tensor cuts to, seen through operators that move values."""
    producer = value.producer()
    while producer is not None and kind_of(producer) is Kind.PRESERVING and producer.inputs[0] is not None:
        producer = producer.inputs[0].producer()
    return None if producer is None else clamp_range(producer)
