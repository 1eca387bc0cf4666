"""Activations after a convolution, which a range absorbs or not."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from tests.processor import X86
from tests.runtimes.facts.probes import BOTH, OPENVINO, ORT, after_conv, error_in_lsb, in_int8, nodes
from tests.runtimes.graphs import Graph
from tinyint.runtimes.base import Runtime

pytestmark = X86


def softmax_error(length: int, highest: float, moved: bool, dtype: str) -> float:
    """Of a Softmax of nearly equal numbers, with quantizers before and after it, on ONNX Runtime: the root mean
    square of the error, over the mean 1 / length. `highest`: end of the range of the quantizer after it."""
    g = Graph(1, 8, length)
    y = g.add("Softmax", [g.quantized("x", 0.001, 0 if dtype == "int8" else 128, dtype)], "softmax", axis=-1)
    y = g.add("Transpose", [y], "turn", perm=[0, 2, 1]) if moved else y
    model = g.model(g.quantized(y, highest / 255, -128 if dtype == "int8" else 0, dtype))
    assert nodes(ORT, model)["softmax"].op == "QLinearSoftmax"
    feeds = {"x": np.random.default_rng(0).uniform(-0.01, 0.01, (1, 8, length)).astype(np.float32)}
    (found,) = ORT.open(model, threads=1).run(feeds).values()
    return float(np.sqrt(np.mean((found * length - 1) ** 2)))


class TestActivation:
    @pytest.mark.parametrize("runtime", BOTH)
    @pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 0), ("int8", -128)])
    def test_relu_is_absorbed_by_a_range_that_starts_at_zero(
        self, runtime: Runtime, dtype: str, zero_point: int
    ) -> None:
        model = after_conv("Relu", zero_point=zero_point, dtype=dtype)
        assert in_int8(runtime, model, ["a"]) == ["a"]
        assert error_in_lsb(runtime, model) <= 1.01

    @pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 0), ("uint8", 128)])
    def test_relu_before_any_other_range_leaves_onnxruntime_in_float(
        self, dtype: str, zero_point: int
    ) -> None:
        model = after_conv("Relu", zero_point=zero_point, dtype=dtype)
        assert nodes(ORT, model)["a"].op == "FusedConv"
        assert in_int8(OPENVINO, model, ["a"]) == ["a"]

    @pytest.mark.parametrize(("limit", "expected"), [(5.0, ["a"]), (6.0, ["a"]), (8.0, [])])
    def test_clip_is_absorbed_by_a_range_within_its_limits(self, limit: float, expected: list[str]) -> None:
        assert in_int8(ORT, after_conv("Clip", limit / 255, 0), ["a"]) == expected

    @pytest.mark.parametrize("length", [16, 1024])
    @pytest.mark.parametrize(("moved", "dtype"), [(False, "uint8"), (True, "uint8"), (False, "int8")])
    def test_softmax_overflows_under_fine_scales_on_onnxruntime(
        self, length: int, moved: bool, dtype: str
    ) -> None:
        """Even where only what moves its output is quantized: the quantizer is moved before that. Mended in 1.32."""
        fine, wide = 1.6 / length, 2 / length
        mended = tuple(map(int, ort.__version__.split(".")[:2])) >= (1, 32)
        assert (softmax_error(length, fine, moved, dtype) > 0.5) != mended
        assert softmax_error(length, wide, moved, dtype) < 0.05

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
