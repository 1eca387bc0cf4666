"""Messages without large weights, for functions of onnx that are limited to 2 GiB."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor
from tinyint.graph.serde import to_proto

__all__ = ["restore_weights", "weightless_proto"]

_LARGE = 1024  # bytes; larger tensors are no shapes or axes, so neither inference nor conversion reads them


def weightless_proto(model: ir.Model) -> tuple[onnx.ModelProto, dict[str, ir.TensorProtocol]]:
    """Message of the model with large initializers as inputs, and their tensors by name."""
    model = model.clone()
    graph = model.graph
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and tensor.nbytes > _LARGE and not value.is_graph_input():
            weights[name] = tensor
            value.shape, value.dtype = ir.Shape(tensor.shape.numpy()), tensor.dtype
            del graph.initializers[name]
            value.const_value = None
            graph.inputs.append(value)
    return to_proto(model), weights


def restore_weights(model: ir.Model, weights: dict[str, ir.TensorProtocol]) -> None:
    """Turns the inputs of these names into initializers again, in place."""
    graph = model.graph
    values = list(graph.inputs)
    graph.inputs.clear()
    graph.inputs.extend(value for value in values if value.name not in weights)
    editor = GraphEditor(graph)
    for value in values:
        if value.name in weights:
            value.const_value = weights[value.name]
            editor.adopt(value)
