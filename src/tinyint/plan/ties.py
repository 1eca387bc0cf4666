"""Which tensors share one scale: those that an operator moves values between without touching them."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from tinyint.graph.flow import clamp_range
from tinyint.graph.ops import Kind, data_inputs, kind_of
from tinyint.plan.nodes import Decisions
from tinyint.targets import Target

__all__ = ["groups"]


def groups(graph: ir.Graph, target: Target, decisions: Decisions, quantized: Iterable[str]) -> dict[str, str]:
    """For each quantized tensor, the first one in graph order of those that it shares its scale with."""
    parent = {name: name for name in quantized}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for node in graph:
        if decisions[node.name or ""] is not None or kind_of(node) is Kind.CLAMP:
            continue
        if not target.operators[node.op_type].tied:
            continue
        inputs = [value for _, value in data_inputs(node)]
        if kind_of(node) is Kind.JOIN and len({_cut(value) for value in inputs}) > 1:
            continue  # an absorbed clamp needs a range of its own
        names = [value.name or "" for value in (*inputs, *node.outputs)]
        first, *others = [name for name in names if name in parent]
        for other in others:
            a, b = root(first), root(other)
            parent[b] = a
    return {name: root(name) for name in parent}


def _cut(value: ir.Value) -> tuple[float, float] | None:
    """The range that the clamp which made the tensor cuts to, seen through operators that move values."""
    producer = value.producer()
    while producer is not None and kind_of(producer) is Kind.PRESERVING and producer.inputs[0] is not None:
        producer = producer.inputs[0].producer()
    return clamp_range(producer) if producer is not None and kind_of(producer) is Kind.CLAMP else None
