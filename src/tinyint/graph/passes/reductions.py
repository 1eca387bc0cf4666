"""Rewriting of reductions whose axes OpenVINO misreads.

1. ReduceL1(x)         →  ReduceSum(Abs(x))
2. ReduceLogSum(x)     →  Log(ReduceSum(x))
3. ReduceLogSumExp(x)  →  Log(ReduceSum(Exp(x - m))) + m,   m = ReduceMax(x)

In opsets 13 to 17 their axes are an attribute; OpenVINO 2026.4 looks for them among the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor, replace_node
from tinyint.graph.names import name_of

__all__ = ["write_out_reductions"]

_MISREAD = ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp")
_OPSETS = range(13, 18)


def write_out_reductions(model: ir.Model) -> None:
    """Rewrites such reductions with axes, in place, also in bodies."""
    if model.opset_imports.get("", 0) not in _OPSETS:
        return
    editor = GraphEditor(model.graph)
    for node in list(model.graph.all_nodes()):
        if node.domain != "" or node.op_type not in _MISREAD or node.inputs[0] is None:
            continue
        whole = node.inputs[0].dtype is not None and not node.inputs[0].dtype.is_floating_point()
        if node.attributes.get_ints("axes", []) and not whole:  # Exp and Log take no integers
            _write_out(editor, node)


def _write_out(editor: GraphEditor, node: ir.Node) -> None:
    graph, source, name = node.graph, node.inputs[0], name_of(node.outputs[0])
    assert isinstance(graph, ir.Graph)
    assert source is not None

    def apply(op_type: str, inputs: Sequence[ir.Value], **attributes: Any) -> ir.Value:
        new = ir.node(op_type, inputs, attributes, name=editor.node_name(f"{name}/{op_type}"))
        editor.rename(new.outputs[0], f"{name}/{op_type}")
        graph.insert_before(node, new)
        return new.outputs[0]

    numbers, keep = list(node.attributes.get_ints("axes", [])), node.attributes.get_int("keepdims", 1)
    axes = editor.constant(f"{name}/axes", np.array(numbers, np.int64), body=graph)
    if node.op_type == "ReduceL1":
        replace_node(node, "ReduceSum", [apply("Abs", [source]), axes], keepdims=keep)
    elif node.op_type == "ReduceLogSum":
        replace_node(node, "Log", [apply("ReduceSum", [source, axes], keepdims=keep)])
    else:
        largest = apply("ReduceMax", [source], axes=numbers, keepdims=1)
        powers = apply("Exp", [apply("Sub", [source, largest])])
        addends = [apply("Log", [apply("ReduceSum", [powers, axes], keepdims=1)]), largest]
        if keep:
            replace_node(node, "Add", addends)
        else:
            replace_node(node, "Squeeze", [apply("Add", addends), axes])
