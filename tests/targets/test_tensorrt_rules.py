from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.runtimes.graphs import SCALE, Graph
from tinyint.targets import Violation
from tinyint.targets.tensorrt_rules import check

S8 = {"zero_point": 0, "dtype": "int8"}


def violations(g: Graph, output: str, opset: int = 17) -> list[Violation]:
    return check(ir.from_proto(onnx.load_model_from_string(g.model(output, opset=opset))))


def rules(g: Graph, output: str, opset: int = 17) -> list[str]:
    return [violation.rule for violation in violations(g, output, opset)]


def conv(g: Graph, value: str, name: str, axis: int = 0) -> str:
    """With weights in int8 and a float bias."""
    inputs = [
        value,
        g.weight(f"{name}_w", (16, 16, 1, 1), axis),
        g.constant(f"{name}_b", np.ones(16, np.float32)),
    ]
    return g.add("Conv", inputs, name)


def residual(*, both: bool) -> tuple[Graph, str]:
    """NVIDIA's placement, or with the convolution's side quantized too."""
    g = Graph(1, 16, 8, 8)
    x = g.quantized(g.add("Relu", [conv(g, g.quantized("x", **S8), "a")], "relu_a"), **S8)
    b = conv(g, x, "b")
    y = g.add("Relu", [g.add("Add", [g.quantized(b, **S8) if both else b, x], "sum")], "relu_b")
    return g, conv(g, g.quantized(y, **S8), "c")


def test_the_recommended_placement_passes() -> None:
    assert rules(*residual(both=False)) == []


def test_the_branch_of_a_residual_stays_float() -> None:
    (found,) = violations(*residual(both=True))
    assert (found.rule, found.node, found.fatal) == ("residual", "sum", False)


@pytest.mark.parametrize(
    ("zero_point", "dtype", "rule"), [(3, "int8", "zero_point"), (128, "uint8", "int8"), (0, "uint8", "int8")]
)
def test_only_int8_with_zero_point_0(zero_point: int, dtype: str, rule: str) -> None:
    g = Graph(1, 16, 8, 8)
    found = violations(g, conv(g, g.quantized("x", zero_point=zero_point, dtype=dtype), "a"))
    assert [(f.rule, f.node, f.fatal) for f in found] == [(rule, "x/Q", True), (rule, "x/DQ", True)]


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_is_finite_and_positive(scale: float) -> None:
    g = Graph(1, 16, 8, 8)
    assert rules(g, conv(g, g.quantized("x", scale, **S8), "a")) == ["scale", "scale"]


def test_a_scale_is_a_constant() -> None:
    g = Graph(1, 16, 8, 8)
    scale = g.add("ReduceMax", ["x"], "dynamic", keepdims=0)
    zero = g.constant("zero", np.int8(0))
    y = g.add("DequantizeLinear", [g.add("QuantizeLinear", ["x", scale, zero], "q"), scale, zero], "dq")
    found = violations(g, conv(g, y, "a"))
    assert [(f.rule, f.node) for f in found] == [("scale", "q"), ("scale", "dq")]
    assert "4698" in found[0].message


def test_a_bias_stays_float() -> None:
    g = Graph(1, 16, 8, 8)
    assert rules(g, g.conv(g.quantized("x", **S8), "a", 16, 16)) == ["bias"]


def test_weights_run_along_axis_0() -> None:
    g = Graph(1, 16, 8, 8)
    assert rules(g, conv(g, g.quantized("x", **S8), "a", axis=1)) == ["weight_axis"]


def test_weights_of_a_transposed_convolution_run_along_axis_0_too() -> None:
    for axis, expected in ((0, []), (1, ["weight_axis"])):
        g = Graph(1, 16, 8, 8)
        inputs = [g.quantized("x", **S8), g.weight("w", (16, 16, 2, 2), axis)]
        assert rules(g, g.add("ConvTranspose", inputs, "a")) == expected


def test_activations_have_one_scale() -> None:
    g = Graph(1, 16, 8, 8)
    how = [g.constant("s", np.full(16, SCALE, np.float32)), g.constant("z", np.zeros(16, np.int8))]
    y = g.add("DequantizeLinear", [g.add("QuantizeLinear", ["x", *how], "q"), *how], "dq")
    assert rules(g, conv(g, y, "a")) == ["per_tensor"]


def test_a_weight_without_its_activation() -> None:
    g = Graph(1, 16, 8, 8)
    (found,) = violations(g, conv(g, "x", "a"))
    assert (found.rule, found.node, found.fatal) == ("both_inputs", "a", False)


@pytest.mark.parametrize("activation", ["", "Relu", "Sigmoid"])
def test_nothing_stands_between_a_convolution_and_its_activation(activation: str) -> None:
    g = Graph(1, 16, 8, 8)
    y = g.quantized(conv(g, g.quantized("x", **S8), "a"), **S8)
    assert rules(g, g.add(activation, [y], "act") if activation else y) == ["output"]


def test_the_input_of_the_next_convolution_is_quantized() -> None:
    g = Graph(1, 16, 8, 8)
    assert rules(g, conv(g, g.quantized(conv(g, g.quantized("x", **S8), "a"), **S8), "b")) == []


@pytest.mark.parametrize(("scale", "expected"), [(SCALE, []), (0.07, ["concat"])])
def test_the_inputs_of_a_concat_share_a_scale(scale: float, expected: list[str]) -> None:
    g = Graph(1, 16, 8, 8)
    x = g.quantized("x", **S8)
    pool = g.quantized(g.add("AveragePool", [x], "pool", kernel_shape=[1, 1]), scale, **S8)
    assert rules(g, g.add("Concat", [x, pool], "concat", axis=1)) == expected


def test_the_opset_is_13_at_least() -> None:
    g = Graph(1, 16, 8, 8)
    assert rules(g, conv(g, g.quantized("x", **S8), "a"), opset=12) == ["opset"]


def test_half_precision_scales_need_opset_19() -> None:
    for opset, expected in ((17, ["opset"]), (19, [])):
        g = Graph(1, 4)
        how = [g.constant("s", np.float16(0.1)), g.constant("z", np.int8(0))]
        y = g.add("DequantizeLinear", [g.constant("codes", np.ones(4, np.int8)), *how], "dq")
        assert rules(g, y, opset) == expected
