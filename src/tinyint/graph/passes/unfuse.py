"""Decomposition of operators that ONNX Runtime fused for float kernels.

ONNX Runtime fuses them again for int8 kernels.

FusedConv → Conv (→ Add) → activation      FusedGemm → Gemm → activation      FusedMatMul → MatMul
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor, replace_node
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of

__all__ = ["unfuse"]

_MICROSOFT = "com.microsoft"
_ACTIVATIONS = {
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Clip": ("min", "max"),
}
"""Attributes or inputs to which their `activation_params` belong, in order."""


def unfuse(model: ir.Model) -> None:
    """Decomposes, in place, the main graph's fused nodes whose parts are ONNX operators.

    Others stay.
    """
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        if node.domain != _MICROSOFT:
            continue
        match node.op_type:
            case "FusedConv" if _has_known_activation(node):
                _split(editor, node, "Conv", inputs=3)
            case "FusedGemm" if _has_known_activation(node):
                _split(editor, node, "Gemm", inputs=3)
            case "FusedMatMul" if _is_plain(node):
                _product(editor, node)


def _has_known_activation(node: ir.Node) -> bool:
    return node.attributes.get_string("activation", "") in ("", *_ACTIVATIONS)


def _split(editor: GraphEditor, node: ir.Node, op_type: str, inputs: int) -> None:
    name, activation = name_of(node.outputs[0]), node.attributes.get_string("activation", "")
    attributes = {k: v for k, v in node.attributes.items() if not k.startswith("activation")}
    added = node.inputs[inputs] if len(node.inputs) > inputs else None
    value = editor.node(op_type, node.inputs[:inputs], f"{name}/{op_type}", dict(attributes), before=node)
    if added is not None:
        value = editor.node("Add", [value, added], f"{name}/Add", before=node)
    if not activation:
        replace_node(node, "Identity", [value])
        return
    numbers = dict(zip(_ACTIVATIONS[activation], _parameters(node), strict=False))
    if activation == "Clip":
        bounds = [
            editor.constant(f"{name}/{what}", np.array(number, np.float32))
            for what, number in numbers.items()
        ]
        replace_node(node, "Clip", [value, *bounds])
    else:
        replace_node(node, activation, [value], **numbers)


def _parameters(node: ir.Node) -> list[float]:
    if "activation_params" in node.attributes:
        return list(node.attributes.get_floats("activation_params", []))
    keys = ("activation_alpha", "activation_beta")  # FusedGemm's
    return [node.attributes.get_float(key, 0.0) for key in keys if key in node.attributes]


def _is_plain(node: ir.Node) -> bool:
    """Whether a FusedMatMul is a plain product; a constant second operand may be transposed."""
    is_other = any(node.attributes.get_int(key, 0) == 1 for key in ("transA", "transBatchA", "transBatchB"))
    weight = constant_of(node.inputs[1])
    transposed = node.attributes.get_int("transB", 0) == 1
    return not is_other and (not transposed or (weight is not None and weight.ndim >= 2))


def _product(editor: GraphEditor, node: ir.Node) -> None:
    left, right = node.inputs
    assert left is not None
    assert right is not None
    name, factor = name_of(node.outputs[0]), node.attributes.get_float("alpha", 1.0)
    weight = constant_of(right)
    transposed = node.attributes.get_int("transB", 0) == 1
    if weight is not None and (factor != 1.0 or transposed):
        matrix = np.swapaxes(weight, -1, -2) if transposed else weight
        scaled = (matrix.astype(np.float64) * factor).astype(weight.dtype)
        right, factor = editor.constant(f"{name}/weight", np.ascontiguousarray(scaled)), 1.0
    if factor == 1.0:
        replace_node(node, "MatMul", [left, right])
        return
    value = editor.node("MatMul", [left, right], f"{name}/product", before=node)
    replace_node(node, "Mul", [value, editor.constant(f"{name}/alpha", np.array(factor, np.float32))])
