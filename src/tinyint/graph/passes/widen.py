"""Conversion of half precision (float16, bfloat16) to float32."""

from __future__ import annotations

import copy
from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of

__all__ = ["HALVES", "holds", "widen_floats"]

HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_TYPE_ATTRIBUTES = ("to", "dtype", "output_datatype")


def widen_floats(model: ir.Model, keep: Collection[ir.DataType] = HALVES) -> None:
    """Converts all half precision in the model and its bodies to float32, in place.

    Inputs and outputs of the types in `keep` keep them, with a Cast beside; others become float32.
    """
    if not any(holds(model, half) for half in HALVES):
        return
    outputs = [value.dtype for value in model.graph.outputs]
    for graph in list(model.graphs()):
        _widen_values(graph, () if graph is not model.graph else keep)
    editor = GraphEditor(model.graph)
    for value in list(model.graph.inputs):
        if value.dtype in HALVES:
            _cast_input(editor, value)
    for i, dtype in enumerate(outputs):
        if dtype in HALVES and dtype in keep and not model.graph.outputs[i].is_graph_input():
            _cast_output(editor, i, dtype)


def _widen_values(graph: ir.Graph, keep: Collection[ir.DataType]) -> None:
    """Converts one graph, but not inputs of the types in `keep`."""
    for value in graph.initializers.values():
        value.const_value = _widened(value.const_value)
        _retype(value)
    for value in graph.inputs:
        if value.dtype not in keep:
            _retype(value)
    for node in graph:
        _widen_attributes(node)
        for value in node.outputs:
            _retype(value)


def holds(model: ir.Model, dtype: ir.DataType) -> bool:
    """Whether the model has a constant, input, output or cast of this type."""
    values = [*model.graph.inputs, *model.graph.outputs]
    values += [value for graph in model.graphs() for value in graph.initializers.values()]
    if any(value.dtype == dtype for value in values):
        return True
    attributes = (a for node in model.graph.all_nodes() for a in node.attributes.values() if not a.is_ref())
    return any(
        (a.type == ir.AttributeType.TENSOR and a.as_tensor().dtype == dtype)
        or (a.name in _TYPE_ATTRIBUTES and a.type == ir.AttributeType.INT and a.as_int() == dtype.value)
        for a in attributes
    )


def _widened(tensor: ir.TensorProtocol | None) -> ir.TensorProtocol | None:
    if tensor is None or tensor.dtype not in HALVES:
        return tensor
    return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)


def _widen_attributes(node: ir.Node) -> None:
    for name, attribute in list(node.attributes.items()):
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.TENSOR:
            tensor = _widened(attribute.as_tensor())
            if tensor is not None and tensor is not attribute.as_tensor():
                node.attributes[name] = ir.AttrTensor(name, tensor)
        elif (
            name in _TYPE_ATTRIBUTES
            and attribute.type == ir.AttributeType.INT
            and attribute.as_int() in HALVES
        ):
            node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT.value)


def _retype(value: ir.Value) -> None:
    """Changes half precision to float32 in the value's type, also in sequences."""
    if value.dtype in HALVES:
        value.type = copy.deepcopy(value.type)  # the caller's model shares it
        value.dtype = ir.DataType.FLOAT


def _cast_input(editor: GraphEditor, value: ir.Value) -> None:
    readers = [(use.node, use.idx) for use in value.uses()]
    attributes = {"to": ir.DataType.FLOAT.value}
    wide = editor.node(
        "Cast", [value], f"{value.name}/to_float32", attributes, before=next(iter(editor.graph))
    )
    wide.dtype, wide.shape = ir.DataType.FLOAT, value.shape
    for node, index in readers:
        node.replace_input_with(index, wide)


def _cast_output(editor: GraphEditor, index: int, dtype: ir.DataType) -> None:
    value = editor.graph.outputs[index]
    name = name_of(value)
    if not isinstance(value.type, ir.TensorType):
        raise ModelError(
            f"output {name!r} is {value.type} of {dtype}, which is not quantized; give it in float32"
        )
    editor.rename(value, f"{name}_float32")
    narrow = editor.node("Cast", [value], f"{name}/from_float32", {"to": dtype.value})
    narrow.name, narrow.dtype, narrow.shape = name, dtype, value.shape
    editor.graph.outputs[index] = narrow
