"""Splitting of biases that are not constant vectors: int8 kernels do not take them.

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
    """Splits off such biases of Conv, ConvTranspose and Gemm with constant weights, in place.

    Needs Gemms whose factors are folded into constants; one that scales a computed C stays.
    """
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        row = facts(node)
        if row is None or row.bias is None or len(node.inputs) <= row.bias:
            continue
        weight, bias = constant_of(node.inputs[1]), node.inputs[2]
        constant = constant_of(bias)
        if weight is None or bias is None or (constant is not None and constant.ndim == 1):
            continue
        if node.attributes.get_float("beta", 1.0) == 1.0:
            _split(editor, node, bias, axes=weight.ndim - 2)


def _split(editor: GraphEditor, node: ir.Node, bias: ir.Value, axes: int) -> None:
    """Replaces the node by the operator without bias, and an Add.

    `axes`: number of trailing axes that a bias per channel lacks.
    """
    name = name_of(node.outputs[0])
    attributes = {key: value for key, value in node.attributes.items() if key != "beta"}
    product = ir.node(node.op_type, node.inputs[:2], attributes, name=node.name)
    editor.graph.insert_before(node, product)
    editor.rename(product.outputs[0], f"{name}/product")
    product.outputs[0].shape, product.outputs[0].type = node.outputs[0].shape, node.outputs[0].type
    if axes:
        positions = editor.constant(f"{name}/axes", np.arange(1, axes + 1))
        bias = editor.node("Unsqueeze", [bias, positions], f"{name}/bias", before=node)
    node.name = editor.node_name(f"{name}/Add")
    replace_node(node, "Add", [product.outputs[0], bias])
