"""Small models in ONNX's text form, with seeded weights, and their outputs on ONNX Runtime without optimization."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray


def build(text: str, opset: int = 17, **weights: NDArray[np.generic] | tuple[int, ...]) -> ir.Model:
    """A model from the text of its graph; a weight given as a shape is normal noise, seeded."""
    header = f'<ir_version: {8 if opset < 21 else 10}, opset_import: ["": {opset}, "com.microsoft": 1]>'
    proto = onnx.parser.parse_model(header + text)
    generator = np.random.default_rng(7)
    for name, weight in weights.items():
        array = generator.normal(size=weight).astype(np.float32) if isinstance(weight, tuple) else weight
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    return ir.from_proto(proto)


def run(model: ir.Model, feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, ["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def feeds_of(model: ir.Model, seed: int = 3) -> dict[str, NDArray[np.generic]]:
    """Normal noise for each input (2 for a symbolic dimension), True for bools."""
    generator = np.random.default_rng(seed)
    feeds: dict[str, NDArray[np.generic]] = {}
    for value in model.graph.inputs:
        if value.is_initializer():
            continue
        shape = [dim if isinstance(dim, int) else 2 for dim in value.shape or ()]
        assert value.name is not None
        assert value.dtype is not None
        noise = generator.normal(size=shape).astype(value.dtype.numpy())
        feeds[value.name] = np.ones(shape, bool) if value.dtype == ir.DataType.BOOL else noise
    return feeds


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]
