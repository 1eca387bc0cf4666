"""Inference of types and shapes of the main graph's values."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TypeAlias

import onnx
import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.passes.stand_in import with_stand_ins
from tinyint.graph.passes.weightless import weightless_proto
from tinyint.graph.walk import static_shape

__all__ = ["Shape", "ShapesOf", "infer_shapes"]

Shape: TypeAlias = "tuple[int | None, ...]"
"""None: an open dimension."""


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


class ShapesOf:
    """Shapes of the main graph's values by name, from those of the inputs."""

    def __init__(self, model: ir.Model) -> None:
        model = model.clone()
        for node in model.graph:
            for value in node.outputs:
                value.shape = None  # it was for any inputs
        self._inputs = {name_of(value): static_shape(value) for value in model.graph.inputs}
        self._proto, _ = weightless_proto(model)
        with_stand_ins(self._proto)

    def at(self, inputs: Mapping[str, Shape]) -> dict[str, Shape]:
        """Shapes where the inputs have these; those of other inputs are as declared."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        for info in proto.graph.input:
            if info.name in inputs and info.type.HasField("tensor_type"):
                _set_shape(info.type.tensor_type.shape, inputs[info.name])
        with suppress(onnx.shape_inference.InferenceError, RuntimeError, ValueError):
            proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
        values = (*proto.graph.input, *proto.graph.value_info, *proto.graph.output)
        shaped = (value for value in values if value.type.tensor_type.HasField("shape"))
        return {value.name: tuple(map(_size, value.type.tensor_type.shape.dim)) for value in shaped}

    def assuming(self, rows: int, others: int | None = None) -> dict[str, Shape]:
        """Shapes for open dimensions of the inputs of these sizes.

        `rows` on axis 0, `others` on all others.
        """
        sizes = {
            name: tuple((others if axis else rows) if dim is None else dim for axis, dim in enumerate(shape))
            for name, shape in self._inputs.items()
            if shape is not None
        }
        return self.at(sizes)


def _set_shape(shape: onnx.TensorShapeProto, dims: Shape) -> None:
    del shape.dim[:]
    for dim in dims:
        shape.dim.add(dim_value=dim)


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    return dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None
