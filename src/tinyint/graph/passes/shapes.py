"""Inference of types and shapes of the main graph's values."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.passes.stand_in import with_stand_ins
from tinyint.graph.passes.weightless import weightless_proto
from tinyint.graph.walk import static_shape

__all__ = ["infer_shapes", "shapes_at"]


def infer_shapes(model: ir.Model) -> None:
    """Infers types and shapes in place, as far as ONNX can.

    Operators of most other domains stay unknown.
    """
    proto, _ = weightless_proto(model)
    with_stand_ins(proto)
    try:
        graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return  # contradictory shapes; the runtime has the better message
    values = {value.name: value for node in model.graph for value in node.outputs}
    for info in (*graph.value_info, *graph.output):
        value = values.get(info.name)
        if value is not None and info.type.HasField("tensor_type"):
            value.type = ir.serde.deserialize_type_proto_for_type(info.type)
            shape = ir.serde.deserialize_type_proto_for_shape(info.type)
            impossible = shape is not None and any(isinstance(dim, int) and dim < 0 for dim in shape)
            value.shape = None if impossible else shape


def shapes_at(model: ir.Model, rows: int) -> dict[str, tuple[int | None, ...]]:
    """Shapes of the main graph's values by name, for a batch of `rows`.

    Axis 0 of each input gets that size if it is open.
    """
    model = model.clone()
    for value in model.graph.inputs:
        if value.shape is not None and value.shape and not isinstance(value.shape[0], int):
            value.shape = ir.Shape([rows, *value.shape[1:]])
    for node in model.graph:
        for value in node.outputs:
            value.shape = None  # it was for any number of rows
    infer_shapes(model)
    values = (*model.graph.inputs, *(value for node in model.graph for value in node.outputs))
    shapes = ((name_of(value), static_shape(value)) for value in values)
    return {name: shape for name, shape in shapes if shape is not None}
