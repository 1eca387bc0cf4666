"""Folding of Gemm's factors into its constants; its bias becomes a vector.

alpha·A·B + beta·C  →  A·(alpha·B) + (beta·C),   C of shape (N,)
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import replace_constant
from tinyint.graph.ops import layout_of
from tinyint.graph.walk import constant_of

__all__ = ["normalize_gemm"]


def normalize_gemm(model: ir.Model) -> None:
    """Folds alpha and beta of each Gemm into its constants, in place.

    alpha is folded if B is constant, beta if C is. Needs unshared constants.
    """
    for node in model.graph:
        if node.domain == "" and node.op_type == "Gemm":
            _absorb_factor(node, 1, "alpha")
            if len(node.inputs) > 2 and node.inputs[2] is not None:
                _absorb_factor(node, 2, "beta")
                _make_vector(node)


def _absorb_factor(node: ir.Node, index: int, attribute: str) -> None:
    factor = node.attributes.get_float(attribute, 1.0)
    value, array = node.inputs[index], constant_of(node.inputs[index])
    if factor == 1.0 or value is None or array is None or not np.issubdtype(array.dtype, np.floating):
        return
    replace_constant(value, (array.astype(np.float64) * factor).astype(array.dtype))
    del node.attributes[attribute]


def _make_vector(node: ir.Node) -> None:
    weight, bias = constant_of(node.inputs[1]), constant_of(node.inputs[2])
    if weight is None or bias is None or node.inputs[2] is None:
        return
    size = layout_of(node).outputs(weight.shape)
    if bias.shape != (size,) and bias.shape in {(), (1,), (1, 1), (1, size)}:
        replace_constant(node.inputs[2], np.ascontiguousarray(np.broadcast_to(bias.reshape(-1), (size,))))
