"""Decisions on the nodes of a graph: int8, or a reason for float."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.names import name_of

__all__ = ["Decisions"]


class Decisions:
    """One decision per node: int8, unless there is a reason for float.

    A node of another graph, as in the body of an If, runs in float.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._names = dict.fromkeys(name_of(node) for node in graph)
        self._reasons: dict[str, str] = {}

    def runs_int8(self, node: ir.Node) -> bool:
        name = name_of(node)
        return name in self._names and name not in self._reasons

    def why_float(self, node: ir.Node) -> str:
        """The reason. Raises KeyError for a node that runs in int8."""
        return self._reasons[name_of(node)]

    def keep_float(self, node: ir.Node, reason: str) -> None:
        """The first reason counts."""
        self._reasons.setdefault(name_of(node), reason)

    @property
    def int8_nodes(self) -> tuple[str, ...]:
        """Names in graph order."""
        return tuple(name for name in self._names if name not in self._reasons)

    @property
    def float_nodes(self) -> dict[str, str]:
        """Names in graph order, each with the reason."""
        return {name: self._reasons[name] for name in self._names if name in self._reasons}
