"""Types and shapes of the main graph's values, as far as ONNX infers them."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from tinyint.graph.passes.weightless import weightless_proto

__all__ = ["infer_shapes"]


def infer_shapes(model: ir.Model) -> None:
    """Fill in, in place, what can be inferred; what cannot (operators of other domains) stays unknown."""
    proto, _ = weightless_proto(model)
    try:
        graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    except onnx.shape_inference.InferenceError:  # contradictory shapes: the runtime will say it better
        return
    values = {value.name: value for node in model.graph for value in node.outputs}
    for info in (*graph.value_info, *graph.output):
        value = values.get(info.name)
        if value is not None and info.type.HasField("tensor_type"):
            value.type = ir.serde.deserialize_type_proto_for_type(info.type)
            value.shape = ir.serde.deserialize_type_proto_for_shape(info.type)
