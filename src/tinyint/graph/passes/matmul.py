"""Reshaping of MatMul constants whose leading axes are all 1 to matrices.

x·W,  W of shape (1, …, 1, K, N)  →  x·W,  W of shape (K, N),  and an Unsqueeze if x has fewer axes than W had

A matrix has scales per column, and int8 kernels; OpenVINO 2026.4 does not load an integer constant (1, 1, K, N).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor, replace_constant, replace_node
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of, static_shape

__all__ = ["flatten_matrices"]


def flatten_matrices(model: ir.Model) -> None:
    """Rewrites, in place, MatMuls with such constants. Needs unshared constants."""
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        if node.domain != "" or node.op_type != "MatMul":
            continue
        value, array, other = node.inputs[1], constant_of(node.inputs[1]), static_shape(node.inputs[0])
        if value is None or array is None or other is None or array.ndim < 3:
            continue
        if any(size != 1 for size in array.shape[:-2]):
            continue
        replace_constant(value, array.reshape(array.shape[-2:]))
        if (missing := array.ndim - max(len(other), 2)) > 0:
            _unsqueeze(editor, node, missing)


def _unsqueeze(editor: GraphEditor, matmul: ir.Node, count: int) -> None:
    """Adds `count` leading axes of 1 to the result; product and result keep their names."""
    name = name_of(matmul.outputs[0])
    product = ir.node("MatMul", matmul.inputs, name=matmul.name)
    editor.graph.insert_before(matmul, product)
    editor.rename(product.outputs[0], f"{name}/product")
    product.outputs[0].type = matmul.outputs[0].type
    axes = editor.constant(f"{name}/axes", np.arange(count))
    matmul.name = editor.node_name(f"{name}/Unsqueeze")
    replace_node(matmul, "Unsqueeze", [product.outputs[0], axes])
