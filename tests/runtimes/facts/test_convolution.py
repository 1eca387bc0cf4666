"""What Conv and ConvTranspose need to run in int8."""

from __future__ import annotations

import numpy as np
import pytest

from tests.processor import AVX512, X86
from tests.runtimes.facts.probes import BOTH, OPENVINO, ORT, error_in_lsb, in_int8
from tests.runtimes.graphs import Graph
from tinyint.runtimes.base import Runtime

pytestmark = X86


class TestConvolution:
    def test_onnxruntime_needs_a_quantized_output(self) -> None:
        g = Graph(1, 16, 8, 8)
        model = g.model(g.conv(g.quantized("x"), "a", 16, 16))
        assert in_int8(ORT, model, ["a"]) == []
        assert in_int8(OPENVINO, model, ["a"]) == ["a"]

    @pytest.mark.parametrize("runtime", BOTH)
    def test_depthwise_per_channel_runs_in_int8(self, runtime: Runtime) -> None:
        g = Graph(1, 16, 8, 8)
        model = g.model(g.quantized(g.conv(g.quantized("x"), "a", 16, 16, 3, group=16)))
        assert in_int8(runtime, model, ["a"]) == ["a"]
        assert error_in_lsb(runtime, model) <= 1.01

    def test_a_bias_of_another_scale_costs_onnxruntime_the_fusion(self) -> None:
        g = Graph(1, 16, 8, 8)
        inputs = [g.quantized("x"), g.weight("w", (16, 16, 1, 1)), g.bias("b", 16, scale=1.3e-4)]
        model = g.model(g.quantized(g.add("Conv", inputs, "a")))
        assert in_int8(ORT, model, ["a"]) == []
        assert in_int8(OPENVINO, model, ["a"]) == ["a"]

    @pytest.mark.parametrize("runtime", BOTH)
    def test_a_float_bias_is_as_good(self, runtime: Runtime) -> None:
        g = Graph(1, 16, 8, 8)
        bias = g.constant("b", np.linspace(-1, 1, 16, dtype=np.float32))
        model = g.model(
            g.quantized(g.add("Conv", [g.quantized("x"), g.weight("w", (16, 16, 1, 1)), bias], "a"))
        )
        assert in_int8(runtime, model, ["a"]) == ["a"]
        assert error_in_lsb(runtime, model) <= 1.01

    @pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 10), ("uint8", 138)])
    def test_openvino_wants_symmetric_signed_weights(self, dtype: str, zero_point: int) -> None:
        g = Graph(1, 16, 8, 8)
        weight = g.weight("w", (16, 16, 1, 1), zero_point=zero_point, dtype=dtype)
        model = g.model(g.quantized(g.add("Conv", [g.quantized("x"), weight], "a")))
        assert in_int8(ORT, model, ["a"]) == ["a"]
        assert in_int8(OPENVINO, model, ["a"]) == []

    @pytest.mark.parametrize("axis", [0, 1])
    def test_onnxruntime_has_no_transposed_convolution(self, axis: int) -> None:
        g = Graph(1, 16, 8, 8)
        model = g.model(
            g.quantized(g.add("ConvTranspose", [g.quantized("x"), g.weight("w", (16, 16, 3, 3), axis)], "a"))
        )
        assert in_int8(ORT, model, ["a"]) == []

    @pytest.mark.parametrize(
        ("axis", "zero_point", "expected"), [(1, 0, ["a"]), (0, 0, []), (1, 128, []), (0, 128, [])]
    )
    def test_openvino_transposes_along_axis_1_from_a_zero_point_of_0(
        self, axis: int, zero_point: int, expected: list[str]
    ) -> None:
        g = Graph(1, 16, 8, 8)
        inputs = [g.quantized("x", zero_point=zero_point), g.weight("w", (16, 16, 4, 4), axis)]
        model = g.model(g.quantized(g.add("ConvTranspose", inputs, "a", strides=[2, 2])))
        assert in_int8(OPENVINO, model, ["a"]) == expected

    @pytest.mark.parametrize(("group", "expected"), [(1, ["a"]), (2, []), (16, [])])
    def test_openvino_transposes_signed_values_and_no_groups(self, group: int, expected: list[str]) -> None:
        g = Graph(1, 16, 8, 8)
        codes = g.rng.integers(-64, 65, (16, 16 // group, 2, 2)).astype("int8")
        constants = [codes, np.float32(0.004), np.int8(0)]
        weight = g.add(
            "DequantizeLinear", [g.constant(f"w{i}", value) for i, value in enumerate(constants)], "w"
        )
        x = g.quantized("x", zero_point=0, dtype="int8")
        model = g.model(g.quantized(g.add("ConvTranspose", [x, weight], "a", strides=[2, 2], group=group)))
        assert in_int8(OPENVINO, model, ["a"]) == expected
        assert error_in_lsb(OPENVINO, model) <= 1.01

    @pytest.mark.parametrize(
        ("kernel", "stride", "right"), [(2, 2, True), (3, 2, True), (1, 2, False), (2, 3, False)]
    )
    def test_openvino_transposes_with_a_bias_only_without_gaps(
        self, kernel: int, stride: int, right: bool
    ) -> None:
        g = Graph(1, 16, 8, 8)
        x = g.quantized("x", zero_point=0, dtype="int8")
        codes = g.rng.integers(-64, 65, (16, 16, kernel, kernel)).astype("int8")
        scales = np.linspace(0.002, 0.006, 16, dtype=np.float32)  # equal ones would hide it
        constants = {"codes": codes, "scales": scales, "zeros": np.zeros(16, np.int8)}
        weight = g.add("DequantizeLinear", [g.constant(n, c) for n, c in constants.items()], "w", axis=1)
        inputs = [x, weight, g.constant("b", np.linspace(-1, 1, 16, dtype=np.float32))]
        model = g.model(g.quantized(g.add("ConvTranspose", inputs, "a", strides=[stride, stride])))
        assert (error_in_lsb(OPENVINO, model) <= 1.01) == right

    @pytest.mark.parametrize(
        ("width", "outputs", "strides", "right"),
        [
            pytest.param(3, 8, [1, 2], False, marks=AVX512),
            (5, 8, [1, 2], True),
            (3, 4, [1, 2], True),
            (2, 8, [1, 1], True),
        ],
    )
    def test_openvino_is_wrong_for_a_column_in_groups_of_several_outputs(
        self, width: int, outputs: int, strides: list[int], right: bool
    ) -> None:
        g = Graph(1, 4, 5, width)
        inputs = [g.quantized("x"), g.weight("w", (outputs, 1, 2, 2)), g.bias("b", outputs)]
        model = g.model(g.quantized(g.add("Conv", inputs, "a", strides=strides, group=4)))
        assert (error_in_lsb(OPENVINO, model) <= 1.01) == right
