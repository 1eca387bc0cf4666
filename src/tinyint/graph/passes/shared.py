"""Separate constants for each operator with weights, to be folded and quantized alone."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.graph.ops import is_weighted

__all__ = ["clone_shared_constants"]


def clone_shared_constants(model: ir.Model) -> None:
    """Clones shared weights and biases of operators with weights, in place.

    Cloned are those with another reader, graph outputs, and outputs of Constant nodes. The clones share the data.
    """
    editor = GraphEditor(model.graph)
    for node in model.graph:
        if not is_weighted(node):
            continue
        for index, value in enumerate(node.inputs):
            tensor = (
                None if value is None or value.is_graph_input() else ir.convenience.get_const_tensor(value)
            )
            if value is None or tensor is None:
                continue
            if len(value.uses()) > 1 or value.is_graph_output() or not value.is_initializer():
                node.replace_input_with(index, editor.constant(name_of(value), tensor))
