"""Raise an older operator set to 17: per-channel DequantizeLinear needs 13, later passes are written for 13 and up."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx import version_converter

from tinyint.errors import ModelError

__all__ = ["upgrade_opset"]

WANTED, LEAST = 17, 13
_LARGE = 1024  # bytes; larger tensors are no shape or axes, so the converter needn't see them


def upgrade_opset(model: ir.Model) -> ir.Model:
    """Convert a model below opset 17, itself left unusable; return it as it is where it is new enough.

    A model at 13 or above that cannot be converted is kept. Raises ModelError, with the operator, below that.
    """
    opset = model.opset_imports.setdefault("", WANTED)
    if opset >= WANTED:
        return model
    weights = _take_weights(model.graph)
    proto, reason = ir.to_proto(model), ""
    for target in (WANTED, LEAST):
        if opset >= target:
            break
        try:
            converted = version_converter.convert_version(proto, target)
            onnx.checker.check_model(converted)
        except (
            Exception
        ) as error:  # the C++ converter raises several kinds, all with the operator in their text
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            continue
        return _with_weights(ir.from_proto(converted), weights)
    if opset < LEAST:
        raise ModelError(
            f"the model has opset {opset} and cannot be converted to {LEAST} or {WANTED}: {reason}; "
            f"export it again with opset {WANTED}"
        )
    return _with_weights(model, weights)


def _take_weights(graph: ir.Graph) -> dict[str, ir.TensorProtocol]:
    """Turn large initializers into inputs, so that a model of any size is one small message."""
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and tensor.nbytes > _LARGE and not value.is_graph_input():
            weights[name] = tensor
            value.shape, value.dtype = ir.Shape(tensor.shape.numpy()), tensor.dtype
            del graph.initializers[name]
            value.const_value = None
            graph.inputs.append(value)
    return weights


def _with_weights(model: ir.Model, weights: dict[str, ir.TensorProtocol]) -> ir.Model:
    graph = model.graph
    by_name = {value.name or "": value for value in graph.inputs}
    kept = [value for name, value in by_name.items() if name not in weights]
    graph.inputs.clear()
    graph.inputs.extend(kept)
    for name, tensor in weights.items():
        by_name[name].const_value = tensor
        graph.register_initializer(by_name[name])
    return model
