"""Every operator that a target has a rule for, or a reason against."""

from __future__ import annotations

import numpy as np
import pytest

from tests.processor import ARM, X86
from tests.runtimes.facts.probes import OPENVINO, ORT, in_int8
from tests.runtimes.graphs import Graph
from tinyint.graph.ops import COMPARISONS
from tinyint.runtimes.base import Runtime
from tinyint.targets import Target
from tinyint.targets.arm import ARM64
from tinyint.targets.openvino import OPENVINO as OPENVINO_TARGET
from tinyint.targets.ort import MOVERS
from tinyint.targets.x86 import X86_VNNI

TARGETS = [
    pytest.param(X86_VNNI, ORT, marks=X86, id="x86-onnxruntime"),
    pytest.param(OPENVINO_TARGET, OPENVINO, marks=X86, id="openvino"),
    pytest.param(ARM64, ORT, marks=ARM, id="arm64-onnxruntime"),
]

# Attributes, constant inputs after the first, and how often the quantized convolution is read.
OPERATORS: dict[str, tuple[dict[str, object], tuple[np.ndarray, ...], int]] = {
    "Add": ({}, (), 2),
    "Sub": ({}, (), 2),
    "Mul": ({}, (), 2),
    "Concat": ({"axis": 1}, (), 2),
    "Sigmoid": ({}, (), 1),
    "LeakyRelu": ({"alpha": 0.1}, (), 1),
    "Softmax": ({"axis": 1}, (), 1),
    "AveragePool": ({"kernel_shape": [2, 2]}, (), 1),
    "GlobalAveragePool": ({}, (), 1),
    "ReduceMean": ({"axes": [2, 3]}, (), 1),
    "MaxPool": ({"kernel_shape": [2, 2]}, (), 1),
    "GlobalMaxPool": ({}, (), 1),
    "Reshape": ({}, (np.array([1, 16, 64]),), 1),
    "Flatten": ({}, (), 1),
    "Transpose": ({"perm": [0, 1, 3, 2]}, (), 1),
    "Squeeze": ({}, (np.array([0]),), 1),
    "Unsqueeze": ({}, (np.array([0]),), 1),
    "Slice": ({}, (np.array([0]), np.array([8]), np.array([1])), 1),
    "Gather": ({"axis": 1}, (np.array([0, 3, 5]),), 1),
    "Split": ({"axis": 1}, (np.array([16]),), 1),
    "Expand": ({}, (np.array([2, 16, 8, 8]),), 1),
    "Tile": ({}, (np.array([1, 2, 1, 1]),), 1),
    "DepthToSpace": ({"blocksize": 2}, (), 1),
    "SpaceToDepth": ({"blocksize": 2}, (), 1),
    "Pad": ({}, (np.array([0, 0, 1, 1, 0, 0, 1, 1]),), 1),
    "Resize": ({"mode": "nearest"}, (np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)), 1),
    "Resize (linear)": ({"mode": "linear"}, (np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)), 1),
    "ArgMax": ({"axis": 1}, (), 1),
    "ArgMin": ({"axis": 1}, (), 1),
    **{op: ({}, (), 2) for op in COMPARISONS},
}


def among_int8(op: str, runtime: Runtime) -> bytes:
    """The operator between quantized outputs of convolutions, the second one pooled, and a quantizer of its own.

    ONNX Runtime moves values only between equal scales; OpenVINO gets no quantizer after operators that move them.
    """
    attributes, constants, reads = OPERATORS[op]
    g = Graph(1, 16, 8, 8)
    x = g.quantized("x")
    inputs = [g.quantized(g.conv(x, name, 16, 16, 3)) for name in "ab"[:reads]]
    if reads == 2:
        inputs[1] = g.quantized(g.add("MaxPool", inputs[1:], "pool", kernel_shape=[1, 1]))
    inputs += [g.constant(f"constant_{i}", values) for i, values in enumerate(constants)]
    y = g.add(op.split()[0], inputs, "op", **attributes)
    if op in ("ArgMax", "ArgMin"):
        return g.model(y, dtype="int64")
    if op in COMPARISONS:
        return g.model(y, dtype="bool")
    if op == "Concat":
        return g.model(g.quantized(g.conv(g.quantized(y), "last", 32, 16)))
    return g.model(y if runtime is OPENVINO and op in MOVERS else g.quantized(y))


class TestEveryOperator:
    """A target has a rule for what runs on bytes, and a reason for what does not."""

    @pytest.mark.parametrize("op", OPERATORS)
    @pytest.mark.parametrize(("target", "runtime"), TARGETS)
    def test_the_rules_say_what_the_runtime_does(self, target: Target, runtime: Runtime, op: str) -> None:
        runs = in_int8(runtime, among_int8(op, runtime), ["op"]) == ["op"]
        assert (op in target.operators, op in target.left_float) == (runs, not runs)

    @X86
    def test_openvino_multiplies_what_convolutions_make_in_float(self) -> None:
        g = Graph(1, 16, 8, 8)
        sides = [g.quantized(g.conv(g.quantized("x", tag=name), name, 16, 16)) for name in "ab"]
        model = g.model(g.quantized(g.conv(g.quantized(g.add("Mul", sides, "op")), "last", 16, 16)))
        assert in_int8(OPENVINO, model, ["a", "b", "op", "last"]) == ["a", "b", "last"]
        assert in_int8(ORT, model, ["a", "b", "op", "last"]) == ["a", "b", "op", "last"]

    def test_none_is_left_out(self) -> None:
        for target in (X86_VNNI, OPENVINO_TARGET, ARM64):
            elsewhere = {"Conv", "ConvTranspose", "Gemm", "MatMul"}  # each in a file of its own
            assert {*target.operators, *target.left_float} - elsewhere == set(OPERATORS)

    def test_onnxruntime_takes_the_highest_of_bytes_without_dequantizing(self) -> None:
        rows = ORT.executed(among_int8("ArgMax", ORT))
        assert not any(row.op == "DequantizeLinear" for row in rows)
