"""Joins, and whether one scale for all that they join pays.

A shared scale is that of the widest range. What a narrower one loses by it, it loses for every reader; and a join is
worth that only where its result is read in int8.
"""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.flow import is_epilogue
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, data_inputs, kind_of
from tinyint.graph.walk import constant_of, consumers
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.ties import Ties, read_as_one

__all__ = ["refused"]

_UNREAD = "no int8 operator with weights reads its result, so that quantizing it would only cost accuracy"

_UNLIKE = (
    "it joins tensors of unlike ranges: one scale would be {:.0f} times as coarse as the finest of them needs"
)


def refused(graph: ir.Graph, decisions: Decisions, ties: Ties) -> dict[str, str]:
    """The int8 nodes that had better be in float, each with the reason.

    * joins, and arithmetic with a constant, whose result reaches no int8 operator with weights and no comparison
    * joins of unlike ranges, where not all readers need one scale for the result
    """
    found: dict[str, str] = {}
    serves: dict[ir.Node, bool] = {}
    for node in reversed(graph):
        if not decisions.runs_int8(node):
            continue
        readers = [reader for out in node.outputs for reader, _ in consumers(out)]
        serves[node] = kind_of(node) in (Kind.COMPUTE, Kind.COMPARE) or any(
            serves.get(r, False) for r in readers
        )
        if not serves[node] and _gains_by_readers_alone(node):
            found[name_of(node)] = _UNREAD
    for node, factor in ties.apart.items():
        if not read_as_one(node, decisions):
            found.setdefault(name_of(node), _UNLIKE.format(factor))
    return found


def _gains_by_readers_alone(node: ir.Node) -> bool:
    """Whether the node reads no more bytes than a dequantizer in its place would: of joins, and of one tensor."""
    match kind_of(node):
        case Kind.JOIN:
            return True
        case Kind.ELEMENTWISE:
            return not is_epilogue(node) and any(
                constant_of(value) is not None for _, value in data_inputs(node)
            )
    return False
