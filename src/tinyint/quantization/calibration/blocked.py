"""Tensors that ONNX Runtime keeps in the blocked layout of its convolutions.

As its transformer of graphs goes (onnxruntime/core/optimizer/nchwc_transformer.cc). To be wrong costs time alone.
"""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.ops import is_convolution

__all__ = ["blocked"]

_POOLS = {"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"}
_FUSED = {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "HardSigmoid"}
_UNARY = {"Relu", "Sigmoid", "Tanh", "BatchNormalization", "Resize", "Upsample"}
_JOINS = {"Add", "Sum", "Mul", "Concat"}


def blocked(graph: ir.Graph) -> set[ir.Value]:
    """Outputs of convolutions, and of what follows them in their layout."""
    found = set[ir.Value]()
    for node in graph:
        if node.domain == "" and _keeps(node, found):
            found.update(node.outputs)
    return found


def _keeps(node: ir.Node, found: set[ir.Value]) -> bool:
    first = node.inputs[0] if node.inputs else None
    if is_convolution(node):
        return node.op_type == "Conv"
    if first is None or first not in found:
        return False
    producer = first.producer()
    fused = producer is not None and is_convolution(producer) and len(first.uses()) == 1
    return (
        node.op_type in _POOLS | _UNARY
        or (node.op_type in _FUSED and fused)
        or (node.op_type in _JOINS and all(value in found for value in node.inputs))
    )
