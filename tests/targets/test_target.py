from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from tests.runtimes.graphs import Graph
from tinyint.targets import TARGETS, Packing, violations
from tinyint.targets.packing import ANY_TWO


def test_how_kernels_add_pairs_is_known_of_x86_alone() -> None:
    packings = {
        name: {TARGETS[name].operators[op].packings for op in ("Conv", "Gemm", "MatMul")}
        for name in ("x86-vnni", "x86-avx2", "arm64", "generic")
    }
    assert packings == {
        "x86-vnni": {(Packing.FLAT,)},
        "x86-avx2": {(Packing.FLAT,)},
        "arm64": {ANY_TWO},
        "generic": {ANY_TWO},
    }


def test_a_model_is_held_to_the_rules_of_the_targets_on_a_runtime() -> None:
    g = Graph(1, 16, 8, 8)
    weight = g.constant("w", np.ones((16, 16, 1, 1), np.float32))
    y = g.add("Conv", [g.quantized("x", zero_point=3, dtype="uint8"), weight], "conv")
    model = ir.from_proto(onnx.load_model_from_string(g.model(y)))
    told = list(map(str, violations(model, "tensorrt")))
    assert told[0] == "TensorRT refuses it (int8): x/Q has a zero-point of type uint8; TensorRT takes int8"
    assert told[-1].startswith("slower on TensorRT (both_inputs): conv has one quantized input")
    assert violations(model, "onnxruntime") == violations(model, "openvino") == []
