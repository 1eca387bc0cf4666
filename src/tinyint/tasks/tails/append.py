"""Appending of a tail to a float or int8 model."""

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

    The tail's outputs replace them; other outputs stay. The int8 part does not change: the tail computes in float,
    after the last DequantizeLinear. The tail's metadata are added to the model's. Inner tensors are renamed if their
    names clash.

    Raises ModelError if the model has no such output, or if an input or another output has the name of an output of the
    tail.
    """
    joined, appendix = model.clone(), tail.graph.clone()
    graph, last = joined.graph, appendix.graph
    outputs = {value.name: value for value in graph.outputs}
    sources = []
    for value in list(last.inputs):
        name = name_of(value)
        if name not in outputs:
            raise ModelError(f"the model has no output {name!r}; {nearest(name, [o or '' for o in outputs])}")
        if outputs[name].dtype not in (None, ir.DataType.FLOAT):
            raise ModelError(
                f"output {name!r} is {outputs[name].dtype}; expected FLOAT: export the model in float32"
            )
        sources.append(outputs[name])
    others = [value for value in graph.outputs if all(value is not source for source in sources)]
    editor = GraphEditor(graph)
    _rename_clashes(editor, last, others)
    for value, source in zip(list(last.inputs), sources, strict=True):
        value.replace_all_uses_with(source)
    results = list(last.outputs)
    nodes, weights = list(last), list(last.initializers.values())
    last.outputs.clear()
    last.remove(nodes)
    last.initializers.clear()
    for weight in weights:
        editor.adopt(weight)
    graph.extend(nodes)
    graph.outputs.clear()
    graph.outputs.extend([*results, *others])
    joined.metadata_props.update({**tail.graph.metadata_props, POSTPROCESSING: tail.kind})
    joined.metadata_props.pop(OUTPUTS, None)  # the structure of the outputs before
    return joined


def _rename_clashes(editor: GraphEditor, tail: ir.Graph, others: list[ir.Value]) -> None:
    """Renames inner values of the model and the tail whose names clash, in place.

    The tail's outputs keep their names. Raises ModelError if an input or one of the `others` has such a name.
    """
    results = {value.name for value in tail.outputs}
    for value in (*editor.graph.inputs, *others):
        if value.name in results:
            raise ModelError(f"the model has an input or output {value.name!r} already; rename it")
    computed = [value for node in editor.graph.all_nodes() for value in node.outputs]
    for value in (*computed, *editor.graph.initializers.values()):
        if value.name in results:
            editor.rename(value, name_of(value))
    for node in tail:
        node.name = editor.node_name(name_of(node))
        for value in node.outputs:
            if value.name not in results:
                editor.rename(value, name_of(value))
