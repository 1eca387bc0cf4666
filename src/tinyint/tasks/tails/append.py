"""Tail appended to a model, float or int8, in one file."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.errors import ModelError, nearest
from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.metadata import OUTPUTS, POSTPROCESSING
from tinyint.tasks.tails.builder import Tail

__all__ = ["append"]


def append(model: ir.Model, tail: Tail) -> ir.Model:
    """New model: `model` with `tail` after the outputs named like its inputs.

    The tail's outputs take their place; other outputs stay. The int8 part is as it was: the tail computes in float,
    after the last DequantizeLinear. The tail's metadata join the model's.
    Tensors inside the model or the tail get other names where these clash.
    Raises ModelError if the model has no such output, or if an input or another output has a name of the tail's.
    """
    joined, behind = model.clone(), tail.graph.clone()
    graph, last = joined.graph, behind.graph
    outputs = {value.name: value for value in graph.outputs}
    fed = []
    for value in list(last.inputs):
        name = name_of(value)
        if name not in outputs:
            raise ModelError(f"the model has no output {name!r}; {nearest(name, [o or '' for o in outputs])}")
        if outputs[name].dtype not in (None, ir.DataType.FLOAT):
            raise ModelError(
                f"output {name!r} is {outputs[name].dtype}; expected FLOAT: export the model in float32"
            )
        fed.append(outputs[name])
    kept = [value for value in graph.outputs if all(value is not source for source in fed)]
    editor = GraphEditor(graph)
    _make_room(editor, last, kept)
    for value, source in zip(list(last.inputs), fed, strict=True):
        value.replace_all_uses_with(source)
    made = list(last.outputs)
    nodes, weights = list(last), list(last.initializers.values())
    last.outputs.clear()
    last.remove(nodes)
    last.initializers.clear()
    for weight in weights:
        editor.adopt(weight)
    graph.extend(nodes)
    graph.outputs.clear()
    graph.outputs.extend([*made, *kept])
    joined.metadata_props.update({**tail.graph.metadata_props, POSTPROCESSING: tail.kind})
    joined.metadata_props.pop(OUTPUTS, None)  # how the module returned what is no output any more
    return joined


def _make_room(editor: GraphEditor, tail: ir.Graph, kept: list[ir.Value]) -> None:
    """Renames the model's values in the way of the tail's.

    Its outputs, and values of its nodes whose names are taken.
    """
    made = {value.name for value in tail.outputs}
    for value in (*editor.graph.inputs, *kept):
        if value.name in made:
            raise ModelError(f"the model has an input or output {value.name!r} already; rename it")
    computed = [value for node in editor.graph.all_nodes() for value in node.outputs]
    for value in (*computed, *editor.graph.initializers.values()):
        if value.name in made:
            editor.rename(value, name_of(value))
    for node in tail:
        node.name = editor.node_name(name_of(node))
        for value in node.outputs:
            if value.name not in made:
                editor.rename(value, name_of(value))
