"""What Gemm, MatMul and their biases need to run in int8."""

from __future__ import annotations

import numpy as np
import pytest

from tests.processor import VNNI, X86
from tests.runtimes.facts.probes import OPENVINO, ORT, error_in_lsb, in_int8, nodes
from tests.runtimes.graphs import Graph
from tinyint.errors import ModelError
from tinyint.numbers.numerics import sqnr_db
from tinyint.runtimes import openvino

pytestmark = X86


def dense(op: str, shape: tuple[int, ...], *, bias: str = "", output: bool = False) -> bytes:
    """A Gemm, or a MatMul and perhaps an Add, with a "float" or an "int32" bias and perhaps Q/DQ after it."""
    g = Graph(*shape)
    inputs = [g.quantized("x"), g.weight("w", (32, 64), axis=1)]
    values = {"": "", "float": "b", "int32": "b_dq"}[bias]
    if bias == "float":
        g.constant("b", np.linspace(-1, 1, 64, dtype=np.float32))
    elif bias == "int32":
        g.bias("b", 64)
    if op == "Gemm":
        y = g.add("Gemm", [*inputs, values] if bias else inputs, "dense")
    else:
        y = g.add("MatMul", inputs, "dense")
        y = g.add("Add", [y, values], "bias") if bias else y
    return g.model(g.quantized(y) if output else y)


class TestDense:
    @pytest.mark.parametrize(
        ("op", "shape", "bias", "output", "kernel"),
        [
            ("Gemm", (4, 32), "int32", False, "QGemm"),
            ("Gemm", (4, 32), "int32", True, "QGemm"),
            ("Gemm", (4, 32), "float", True, "QGemm"),
            ("MatMul", (1, 7, 32), "", False, "MatMulIntegerToFloat"),
            ("MatMul", (1, 7, 32), "", True, "QLinearMatMul"),
            ("MatMul", (1, 7, 32), "float", True, "QGemm"),
            ("MatMul", (1, 7, 32), "int32", False, "QGemm"),
            ("MatMul", (4, 32), "float", True, "QGemm"),
            ("MatMul", (4, 32), "int32", False, "QGemm"),
        ],
    )
    def test_onnxruntime_runs_it_in_int8(
        self, op: str, shape: tuple[int, ...], bias: str, output: bool, kernel: str
    ) -> None:
        model = dense(op, shape, bias=bias, output=output)
        assert nodes(ORT, model)["dense"].op == kernel
        assert error_in_lsb(ORT, model) <= 1.01

    @pytest.mark.parametrize(
        ("op", "shape"), [("Gemm", (4, 32)), ("MatMul", (4, 32)), ("MatMul", (1, 7, 32))]
    )
    def test_a_float_bias_and_a_float_output_make_it_float(self, op: str, shape: tuple[int, ...]) -> None:
        model = dense(op, shape, bias="float")
        assert nodes(ORT, model)["dense"].op == "Gemm"
        assert in_int8(OPENVINO, model, ["dense"]) == ["dense"]

    @pytest.mark.parametrize(
        ("shape", "loads"), [((32, 8), True), ((1, 32, 8), True), ((1, 1, 32, 8), False)]
    )
    def test_openvino_loads_no_stored_matrix_of_four_axes(self, shape: tuple[int, ...], loads: bool) -> None:
        """(2026.4.1); `graph.passes.matmul` makes two of them."""
        g = Graph(1, 1, 4, 32)
        model = g.model(g.add("MatMul", ["x", g.weight("w", shape, axis=len(shape) - 1)], "dense"))
        if loads:
            OPENVINO.open(model, threads=1)
            return
        with pytest.raises(ModelError, match="final_weights_rank"):
            OPENVINO.open(model, threads=1)

    @VNNI
    @pytest.mark.parametrize(("length", "exact"), [(31, True), (32, False), (768, False)])
    def test_openvino_quantizes_what_stored_weights_multiply(self, length: int, exact: bool) -> None:
        """In groups of 32, where the processor has VNNI; `Target.stored_weights` says so."""
        g = Graph(4, length)
        model = g.model(g.add("MatMul", ["x", g.weight("w", (length, 48), axis=1)], "dense"))
        x = {"x": np.random.default_rng(0).normal(size=(4, length)).astype(np.float32)}
        (expected,) = ORT.open(model, threads=1, optimize=False).run(x).values()
        core, option = openvino._core(), "DYNAMIC_QUANTIZATION_GROUP_SIZE"
        assert core.get_property("CPU", option) == 32
        (found,) = OPENVINO.open(model, threads=1).run(x).values()
        core.set_property("CPU", {option: 0})
        try:
            (plain,) = OPENVINO.open(model, threads=1).run(x).values()
        finally:
            core.set_property("CPU", {option: 32})
        assert sqnr_db(expected, plain) > 100
        assert (sqnr_db(expected, found) > 100) is exact
        assert sqnr_db(expected, found) > 38
        assert not nodes(OPENVINO, model)["dense"].int8
