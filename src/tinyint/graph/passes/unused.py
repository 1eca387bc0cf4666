"""Removal of unread constants: ONNX Runtime warns of each at every opening."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["drop_unused_constants"]


def drop_unused_constants(model: ir.Model) -> None:
    """In place, in subgraphs too; inputs and outputs of a graph stay."""
    for graph in model.graphs():
        for name, value in list(graph.initializers.items()):
            if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                del graph.initializers[name]
