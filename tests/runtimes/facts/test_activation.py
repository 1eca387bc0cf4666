"""Activations behind a convolution, which a range absorbs or not."""

from __future__ import annotations

import pytest

from tests.runtimes.facts.probes import BOTH, OPENVINO, ORT, VNNI, behind_conv, error_in_lsb, in_int8, nodes
from tests.runtimes.graphs import Graph
from tinyint.runtimes.base import Runtime

pytestmark = VNNI


class TestActivation:
    @pytest.mark.parametrize("runtime", BOTH)
    @pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 0), ("int8", -128)])
    def test_relu_is_absorbed_by_a_range_that_starts_at_zero(
        self, runtime: Runtime, dtype: str, zero_point: int
    ) -> None:
        model = behind_conv("Relu", zero_point=zero_point, dtype=dtype)
        assert in_int8(runtime, model, ["a"]) == ["a"]
        assert error_in_lsb(runtime, model) <= 1.01

    @pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 0), ("uint8", 128)])
    def test_relu_before_any_other_range_leaves_onnxruntime_in_float(
        self, dtype: str, zero_point: int
    ) -> None:
        model = behind_conv("Relu", zero_point=zero_point, dtype=dtype)
        assert nodes(ORT, model)["a"].op == "FusedConv"
        assert in_int8(OPENVINO, model, ["a"]) == ["a"]

    @pytest.mark.parametrize(("limit", "expected"), [(5.0, ["a"]), (6.0, ["a"]), (8.0, [])])
    def test_clip_is_absorbed_by_a_range_within_its_limits(self, limit: float, expected: list[str]) -> None:
        assert in_int8(ORT, behind_conv("Clip", limit / 255, 0), ["a"]) == expected

    def test_the_inner_tensors_of_silu_are_quantized_for_onnxruntime(self) -> None:
        found = []
        for inner in (True, False):
            g = Graph(1, 16, 8, 8)
            a = g.conv(g.quantized("x"), "a", 16, 16)
            a = g.quantized(a) if inner else a
            s = g.add("Sigmoid", [a], "sigmoid")
            s = g.quantized(s, 1 / 255, 0) if inner else s
            model = g.model(g.quantized(g.add("Mul", [a, s], "mul")))
            found.append(in_int8(ORT, model, ["a", "sigmoid", "mul"]))
            assert in_int8(OPENVINO, model, ["a"]) == ["a"]
        assert found == [["a", "sigmoid", "mul"], []]
