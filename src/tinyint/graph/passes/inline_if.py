"""Inlining of an If with a constant condition: the branch that it takes."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.graph.passes.constants import fold_constants
from tinyint.graph.passes.shapes import infer_shapes
from tinyint.graph.walk import constant_of

__all__ = ["inline_constant_if"]


def inline_constant_if(model: ir.Model) -> None:
    """Moves the branches of such Ifs into the main graph, in place.

    Repeats this for Ifs inside the branches. Infers types and shapes of the moved nodes, and folds constants.
    """
    while pairs := [(node, branch) for node in model.graph if (branch := _branch_of(node)) is not None]:
        editor = GraphEditor(model.graph)
        for node, branch in pairs:
            _inline(editor, node, branch)
        infer_shapes(model)
        fold_constants(model)


def _branch_of(node: ir.Node) -> ir.Graph | None:
    """Branch that an If with a constant condition takes; None for other nodes."""
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
        _replace_output(editor, output, result, node)
    editor.graph.remove(node, safe=True)


def _replace_output(editor: GraphEditor, output: ir.Value, result: ir.Value, node: ir.Node) -> None:
    """Replaces the If's output by the branch's result, under the output's name.

    For a graph output, a result that is a constant or itself a graph output needs an Identity between.
    """
    if output.is_graph_output() and (result.producer() is None or result.is_graph_output()):
        result = editor.node("Identity", [result], name_of(output), before=node)
    result.type, result.shape = result.type or output.type, result.shape or output.shape
    name, output.name = output.name, None
    output.replace_all_uses_with(result, replace_graph_outputs=True)
    if result.producer() is not None and name is not None:
        result.name = name
