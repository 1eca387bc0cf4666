"""Products of two activations."""

from __future__ import annotations

import pytest

from tests.processor import X86
from tests.runtimes.facts.probes import OPENVINO, ORT, in_int8
from tests.runtimes.graphs import SCALE, Graph

pytestmark = X86


def attention(*, quantized: bool) -> bytes:
    """softmax(q(x) · k(x)ᵀ) · v(x); Q/DQ after every operator, or only before the matrix products with weights."""
    g = Graph(1, 7, 32)
    x = g.quantized("x")
    q, k, v = (g.add("MatMul", [x, g.weight(f"w{name}", (32, 32), axis=1)], name) for name in "qkv")
    k = g.add("Transpose", [g.quantized(k) if quantized else k], "transpose", perm=[0, 2, 1])
    k = g.quantized(k) if quantized else k
    score = g.add("MatMul", [g.quantized(q) if quantized else q, k], "score")
    weight = g.add("Softmax", [g.quantized(score, 0.3) if quantized else score], "softmax", axis=-1)
    weight = g.quantized(weight, 1 / 255, 0) if quantized else weight
    return g.model(g.add("MatMul", [weight, g.quantized(v) if quantized else v], "out"))


class TestAttention:
    """ONNX Runtime gains from Q/DQ everywhere; a product of two activations stays float otherwise."""

    def test_onnxruntime_multiplies_activations_in_int8(self) -> None:
        names = ["q", "k", "v", "transpose", "score", "softmax", "out"]
        assert in_int8(ORT, attention(quantized=True), names) == names
        assert in_int8(ORT, attention(quantized=False), names) == ["q", "k", "v"]

    def test_openvino_multiplies_by_weights_in_int8(self) -> None:
        assert in_int8(OPENVINO, attention(quantized=False), ["q", "k", "v"]) == ["q", "k", "v"]

    @pytest.mark.parametrize(
        ("first", "second", "runs"),
        [
            (("int8", 0), ("int8", 0), True),
            (("uint8", 0), ("int8", 0), True),
            (("uint8", 128), ("int8", 0), False),
            (("uint8", 128), ("uint8", 128), False),
        ],
    )
    def test_openvino_multiplies_activations_in_int8_only_under_a_zero_point_of_zero(
        self, first: tuple[str, int], second: tuple[str, int], runs: bool
    ) -> None:
        g = Graph(1, 32, 32)
        x = g.quantized("x")
        sides = [g.add("MatMul", [x, g.weight(f"w{name}", (32, 32), axis=1)], name) for name in "ab"]
        q, k = (
            g.quantized(side, SCALE, zero_point, dtype)
            for side, (dtype, zero_point) in zip(sides, (first, second), strict=True)
        )
        model = g.model(g.add("MatMul", [q, k], "product"))
        assert in_int8(OPENVINO, model, ["product"]) == ["product"] * runs
