"""Removal of Identity, Dropout outside training, and Cast to the same type."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.edit import bypass
from tinyint.graph.walk import constant_of

__all__ = ["drop_no_ops"]


def drop_no_ops(model: ir.Model) -> None:
    """Connects the readers of each no-op to its input, in place.

    A graph output keeps its name.
    """
    for node in list(model.graph):
        if _does_nothing(node) and node.inputs[0] is not None:
            bypass(node, node.inputs[0])


def _does_nothing(node: ir.Node) -> bool:
    if node.domain != "" or node.op_type not in {"Identity", "Dropout", "Cast"}:
        return False
    if node.op_type == "Cast":
        source = node.inputs[0]
        return source is not None and source.dtype == node.attributes.get_int("to", 0)
    if any(mask.uses() or mask.is_graph_output() for mask in node.outputs[1:]):
        return False
    training = node.inputs[2] if len(node.inputs) > 2 else None
    flag = constant_of(training)
    return training is None or (flag is not None and not flag.any())
