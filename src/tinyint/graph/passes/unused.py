"""Removal of unused constants: ONNX Runtime warns about each whenever it opens the model."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["drop_unused_constants"]


def drop_unused_constants(model: ir.Model) -> None:
    """Removes initializers without readers, in place, also in subgraphs; inputs and outputs stay."""
    for graph in model.graphs():
        for name, value in list(graph.initializers.items()):
            if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                del graph.initializers[name]
