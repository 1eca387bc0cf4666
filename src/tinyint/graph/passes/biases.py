"""Biases other than constant vectors, which int8 kernels cannot take, to Adds.

Conv(x, W, b) → Conv(x, W) + b[:, 1, 1]      Gemm(x, W, C) → Gemm(x, W) + C
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor, replace_node
from tinyint.graph.names import name_of
from tinyint.graph.ops import facts
from tinyint.graph.walk import constant_of

__all__ = ["split_biases"]


def split_biases(model: ir.Model) -> None:
    """Splits off such biases of the main graph, in place.

    Of each Conv, ConvTranspose and Gemm with constant weights.

    Needs Gemms whose factors are in their constants; one that scales a computed C stays.
    """
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        row = facts(node)
        if row is None or row.bias is None or len(node.inputs) <= row.bias:
            continue
        weight, bias = constant_of(node.inputs[1]), node.inputs[2]
        known = constant_of(bias)
        if weight is None or bias is None or (known is not None and known.ndim == 1):
            continue
        if node.attributes.get_float("beta", 1.0) == 1.0:
            _split(editor, node, bias, axes=weight.ndim - 2)


def _split(editor: GraphEditor, node: ir.Node, bias: ir.Value, axes: int) -> None:
    """`axes`: how many a bias of one number a channel lacks."""
    name = name_of(node.outputs[0])
    attributes = {key: value for key, value in node.attributes.items() if key != "beta"}
    product = ir.node(node.op_type, node.inputs[:2], attributes, name=node.name)
    editor.graph.insert_before(node, product)
    editor.rename(product.outputs[0], f"{name}/product")
    product.outputs[0].shape, product.outputs[0].type = node.outputs[0].shape, node.outputs[0].type
    if axes:
        places = editor.constant(f"{name}/axes", np.arange(1, axes + 1))
        bias = editor.node("Unsqueeze", [bias, places], f"{name}/bias", before=node)
    node.name = editor.node_name(f"{name}/Add")
    replace_node(node, "Add", [product.outputs[0], bias])
