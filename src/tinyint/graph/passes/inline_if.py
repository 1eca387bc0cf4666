"""An If whose condition is constant is the branch that it takes."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.graph.passes.constants import fold_constants
from tinyint.graph.passes.shapes import infer_shapes
from tinyint.graph.walk import constant_of

__all__ = ["inline_constant_if"]


def inline_constant_if(model: ir.Model) -> None:
    """Moves branches of constant Ifs into the main graph, in place.

    Again where that brings another such If. Types and shapes of the nodes are inferred, and constants folded.
    """
    while chosen := [(node, branch) for node in model.graph if (branch := _takes(node)) is not None]:
        editor = GraphEditor(model.graph)
        for node, branch in chosen:
            _inline(editor, node, branch)
        infer_shapes(model)
        fold_constants(model)


def _takes(node: ir.Node) -> ir.Graph | None:
    condition = constant_of(node.inputs[0]) if node.domain == "" and node.op_type == "If" else None
    if condition is None or condition.size != 1:
        return None
    return node.attributes["then_branch" if condition.reshape(-1)[0] else "else_branch"].as_graph()


def _inline(editor: GraphEditor, node: ir.Node, branch: ir.Graph) -> None:
    results, nodes = list(branch.outputs), list(branch)
    weights = list(branch.initializers.values())
    branch.outputs.clear()
    branch.remove(nodes)
    branch.initializers.clear()
    for weight in weights:
        editor.adopt(weight)
    for inner in nodes:
        for value in inner.outputs:
            editor.rename(value, value.name or inner.op_type)
    editor.graph.insert_before(node, nodes)
    for output, result in zip(node.outputs, results, strict=True):
        _stand_for(editor, output, result, node)
    editor.graph.remove(node, safe=True)


def _stand_for(editor: GraphEditor, output: ir.Value, result: ir.Value, node: ir.Node) -> None:
    """The result takes the output's name; a constant, or what is an output already, gets an Identity."""
    if output.is_graph_output() and (result.producer() is None or result.is_graph_output()):
        result = editor.node("Identity", [result], name_of(output), before=node)
    result.type, result.shape = result.type or output.type, result.shape or output.shape
    name, output.name = output.name, None
    output.replace_all_uses_with(result, replace_graph_outputs=True)
    if result.producer() is not None and name is not None:
        result.name = name
