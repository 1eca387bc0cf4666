"""ReduceMean over an image's spatial axes as GlobalAveragePool, which has int8 kernels."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.edit import GraphEditor, replace_node
from tinyint.graph.walk import constant_of, static_shape

__all__ = ["recognize_global_pool"]


def recognize_global_pool(model: ir.Model) -> None:
    """Rewrites, in place, ReduceMean over axes 2 and 3 of 4-D tensors.

    If it has no keepdims, a Flatten follows the pool.
    """
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        if node.domain != "" or node.op_type != "ReduceMean" or node.inputs[0] is None:
            continue
        image = node.inputs[0]
        if len(static_shape(image) or ()) != 4 or _axes(node) != [2, 3] or image.dtype not in _FLOATS:
            continue
        if node.attributes.get_int("keepdims", 1):
            replace_node(node, "GlobalAveragePool", [image])
            continue
        flatten = replace_node(node, "Flatten", [image], axis=1)
        pool = ir.node("GlobalAveragePool", [image], name=flatten.name)
        flatten.name = editor.node_name(f"{flatten.name}/flatten") if flatten.name else None
        pool.outputs[0].dtype = image.dtype
        editor.rename(pool.outputs[0], f"{flatten.outputs[0].name}_pooled")
        model.graph.insert_before(flatten, pool)
        flatten.replace_input_with(0, pool.outputs[0])


_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})


def _axes(node: ir.Node) -> list[int]:
    """Sorted axes of a 4-D tensor, from the attribute (to opset 17) or the input."""
    axes: list[int] = list(node.attributes.get_ints("axes", []))
    constant = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if constant is not None:
        axes = [int(axis) for axis in constant.reshape(-1)]
    return sorted(axis % 4 for axis in axes)
