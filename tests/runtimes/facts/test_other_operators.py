"""Operators without weights after a convolution."""

from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build
from tests.processor import X86
from tests.runtimes.facts.probes import OPENVINO, ORT, after_conv, in_int8, nodes
from tests.runtimes.graphs import SCALE, Graph

pytestmark = X86


def after_quantized_conv(op: str, scale: float = SCALE, **attributes: object) -> bytes:
    """conv, Q/DQ, `op`, Q/DQ with `scale`."""
    g = Graph(1, 16, 8, 8)
    y = g.add(op, [g.quantized(g.conv(g.quantized("x"), "a", 16, 16))], "op", **attributes)
    return g.model(g.quantized(y, scale))


class TestOtherOperators:
    @pytest.mark.parametrize(
        ("op", "attributes"),
        [("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}), ("Transpose", {"perm": [0, 1, 3, 2]})],
    )
    def test_values_pass_in_int8_if_the_scale_stays(self, op: str, attributes: dict[str, object]) -> None:
        assert in_int8(ORT, after_quantized_conv(op, **attributes), ["a", "op"]) == ["a", "op"]

    def test_max_pool_is_fast_only_after_an_int8_convolution(self) -> None:
        """Without one, it keeps the layout NCHW, whose kernel for bytes took 78 times as long (192×28×28, 3×3)."""
        assert nodes(ORT, after_quantized_conv("MaxPool", kernel_shape=[2, 2]))["op"].op == "NhwcMaxPool"
        g = Graph(1, 16, 8, 8)
        pool = g.quantized(g.add("MaxPool", [g.quantized("x")], "op", kernel_shape=[2, 2]))
        assert nodes(ORT, g.model(g.quantized(g.conv(pool, "a", 16, 16))))["op"].op == "MaxPool"

    def test_max_pool_to_another_scale_runs_in_float(self) -> None:
        model = after_quantized_conv("MaxPool", 0.03, kernel_shape=[2, 2], strides=[2, 2])
        assert in_int8(ORT, model, ["a", "op"]) == ["a"]

    @pytest.mark.parametrize("scale", [SCALE, 0.03])
    @pytest.mark.parametrize(
        ("op", "attributes"),
        [
            ("AveragePool", {"kernel_shape": [2, 2]}),
            ("GlobalAveragePool", {}),
            ("LeakyRelu", {"alpha": 0.1}),
            ("Sigmoid", {}),
            ("Softmax", {"axis": 1}),
        ],
    )
    def test_onnxruntime_has_a_kernel(self, op: str, attributes: dict[str, object], scale: float) -> None:
        assert in_int8(ORT, after_quantized_conv(op, scale, **attributes), ["op"]) == ["op"]

    @pytest.mark.parametrize(("op", "attributes"), [("LeakyRelu", {"alpha": 0.1}), ("Sigmoid", {})])
    def test_openvino_computes_it_in_the_convolution_before_it(
        self, op: str, attributes: dict[str, object]
    ) -> None:
        for scale in (SCALE, 0.03):
            model = after_conv(op, scale, **attributes)
            assert in_int8(OPENVINO, model, ["a", "op"]) == ["a", "op"]
            assert nodes(OPENVINO, model)["a"] == nodes(OPENVINO, model)["op"]
            assert in_int8(ORT, model, ["a", "op"]) == []

    @pytest.mark.parametrize("op", ["ReduceL1", "ReduceLogSum", "ReduceLogSumExp"])
    def test_openvino_reads_some_reductions_without_their_axes(self, op: str) -> None:
        """In the operator sets 13 to 17 (2026.4.1); `graph.passes.reductions` writes them out."""
        for opset, kept in ((12, True), (13, False), (17, False)):
            model = build(f"g (float[2,3,4] x) => (float[2,1,4] y) {{ y = {op}<axes=[1]>(x) }}", opset)
            x = np.random.default_rng(0).uniform(1, 2, (2, 3, 4)).astype(np.float32)
            (found,) = OPENVINO.open(model, threads=1).run({"x": x}).values()
            assert (found.shape == (2, 1, 4)) is kept

    @pytest.mark.parametrize(("op", "attributes"), [("Tanh", {}), ("HardSwish", {}), ("Erf", {})])
    def test_onnxruntime_has_none(self, op: str, attributes: dict[str, object]) -> None:
        assert in_int8(ORT, after_quantized_conv(op, **attributes), ["op"]) == []
