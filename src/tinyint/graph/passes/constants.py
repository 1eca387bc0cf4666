"""Constant folding: Constant nodes and operators on initializers become initializers.

This uncovers weights after Identity, Transpose, Reshape, Unsqueeze or Cast. Not folded are random operators,
quantization, control flow, other domains, and nodes that would make the file grow by more than 1 MiB.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.graph.edit import GraphEditor
from tinyint.graph.walk import constant_of, static_shape

__all__ = ["fold_constants"]

_GROWTH_LIMIT = 2**20  # bytes
_RANDOM = {
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
    "Dropout",
}
_QUANTIZATION = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
_GROWING = {"ConstantOfShape", "Expand", "Tile", "Range", "Pad", "Resize", "Upsample", "EyeLike", "OneHot"}


def fold_constants(model: ir.Model) -> None:
    """Replaces, in place, nodes with constant inputs by initializers of the same names.

    In bodies, only Constant nodes are replaced.
    """
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        if any(output.is_graph_output() for output in node.outputs) or not _foldable(node):
            continue
        tensors = _evaluate(node, model.opset_imports[""])
        if tensors is not None:
            _replace(editor, node, tensors)
    _fold_in_bodies(editor)


def _fold_in_bodies(editor: GraphEditor) -> None:
    for node in list(editor.graph.all_nodes()):
        graph = node.graph
        if graph is editor.graph or not isinstance(graph, ir.Graph) or node.op_type != "Constant":
            continue
        tensor = ir.convenience.get_const_tensor(node.outputs[0])
        if tensor is not None and not node.outputs[0].is_graph_output():
            editor.supplant(node.outputs[0], tensor, body=graph)
            graph.remove(node, safe=True)


def _foldable(node: ir.Node) -> bool:
    if node.domain != "" or node.op_type in _RANDOM | _QUANTIZATION or not node.outputs:
        return False
    if any(
        attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        for attribute in node.attributes.values()
    ):
        return False
    if not all(value is None or constant_of(value) is not None for value in node.inputs):
        return False
    return node.op_type not in _GROWING or _inferred_bytes(node) <= _GROWTH_LIMIT


def _inferred_bytes(node: ir.Node) -> float:
    """Size of the outputs by shape inference; infinite if unknown."""
    total = 0.0
    for output in node.outputs:
        shape = static_shape(output)
        if shape is None or None in shape or output.dtype is None:
            return math.inf
        total += math.prod(d or 0 for d in shape) * output.dtype.itemsize
    return total


def _evaluate(node: ir.Node, opset: int) -> list[ir.TensorProtocol] | None:
    if node.op_type == "Constant":
        tensor = ir.convenience.get_const_tensor(node.outputs[0])
        return None if tensor is None else [tensor]
    if node.op_type == "Identity" and node.inputs[0] is not None and node.inputs[0].const_value is not None:
        return [node.inputs[0].const_value]
    feeds = {value.name: constant_of(value) for value in node.inputs if value is not None and value.name}
    try:
        results = _run(node, {name: array for name, array in feeds.items() if array is not None}, opset)
        tensors: list[ir.TensorProtocol] = [ir.tensor(np.array(array, order="C")) for array in results]
    except Exception:  # the reference implementation lacks some operators and types; such a node stays
        return None
    growth = sum(tensor.nbytes for tensor in tensors) - sum(
        array.nbytes for array in feeds.values() if array is not None
    )
    return tensors if growth <= _GROWTH_LIMIT else None


def _run(node: ir.Node, feeds: dict[str, NDArray[np.generic]], opset: int) -> list[NDArray[np.generic]]:
    from onnx.reference import ReferenceEvaluator  # slow to import, and rarely needed

    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    names = [output.name for output in node.outputs if output.name]
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    graph = onnx.helper.make_graph([ir.to_proto(node)], "constant", inputs, outputs)
    evaluator = ReferenceEvaluator(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    )
    return [np.asarray(array) for array in evaluator.run(names, feeds)]


def _replace(editor: GraphEditor, node: ir.Node, tensors: list[ir.TensorProtocol]) -> None:
    outputs = [output for output in node.outputs if output.name]
    for output, tensor in zip(outputs, tensors, strict=True):
        editor.supplant(output, tensor)
    editor.graph.remove(node, safe=True)
