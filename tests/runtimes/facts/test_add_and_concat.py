"""Where two branches meet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processor import X86
from tests.runtimes.facts.probes import BOTH, OPENVINO, ORT, error_in_lsb, in_int8
from tests.runtimes.graphs import SCALE, Graph
from tinyint.errors import ModelError
from tinyint.runtimes.base import Runtime

pytestmark = X86


def residual(*, quantized: str) -> bytes:
    """a(x) + b(x) into the convolution c; `quantized` names the convolutions with Q/DQ before the Add."""
    g = Graph(1, 16, 8, 8)
    x = g.quantized("x")
    sides = [g.conv(x, name, 16, 16) for name in "ab"]
    sides = [g.quantized(side) if name in quantized else side for name, side in zip("ab", sides, strict=True)]
    return g.model(g.quantized(g.conv(g.quantized(g.add("Add", sides, "sum")), "c", 16, 16)))


def concat(*, scales: tuple[float, float] | None, dtype: str = "uint8", zero_point: int = 128) -> bytes:
    """a(x) and b(x) joined, into the convolution c; with Q/DQ of `scales` before the Concat, and always after it."""
    g = Graph(1, 16, 8, 8)
    how = {"dtype": dtype, "zero_point": zero_point}
    x = g.quantized("x", **how)
    sides = [g.conv(x, name, 16, 16) for name in "ab"]
    if scales is not None:
        sides = [g.quantized(side, scale, **how) for side, scale in zip(sides, scales, strict=True)]
    joined = g.quantized(g.add("Concat", sides, "concat", axis=1), **how)
    return g.model(g.quantized(g.conv(joined, "c", 32, 16, 3), **how))


def joined(op: str, axis: int, zero_point: int, between: str = "") -> bytes:
    """x and its sigmoid joined along `axis`, then quantized, then the product `op`."""
    g = Graph(1, 8, 8, 8)
    y = g.add("Concat", ["x", g.add("Sigmoid", ["x"], "other")], "concat", axis=axis)
    y = (
        g.add(between, [y], "between", **({"kernel_shape": [1, 1]} if between == "MaxPool" else {}))
        if between
        else y
    )
    y = g.quantized(y, zero_point=zero_point, dtype="int8" if zero_point == 0 else "uint8")
    if op == "Conv":
        return g.model(g.conv(y, "op", 16 if axis == 1 else 8, 16))
    return g.model(g.add("MatMul", [y, g.weight("w", (16 if axis == 3 else 8, 12), axis=1)], "op"))


def error_without_amx(dtype: str, zero_point: int) -> float:
    """The error of `concat` in a process whose OpenVINO may not use AMX."""
    code = (
        "from tests.runtimes.facts.test_add_and_concat import *\n"
        f"model = concat(scales=(SCALE, SCALE), dtype={dtype!r}, zero_point={zero_point})\n"
        "print(error_in_lsb(OPENVINO, model))"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, check=True
    )
    return float(done.stdout)


class TestAddAndConcat:
    @pytest.mark.parametrize(
        ("quantized", "expected"),
        [("ab", ["a", "b", "sum", "c"]), ("a", ["a", "c"]), ("b", ["b", "c"]), ("", ["c"])],
    )
    def test_onnxruntime_wants_both_inputs_of_an_add(self, quantized: str, expected: list[str]) -> None:
        assert in_int8(ORT, residual(quantized=quantized), ["a", "b", "sum", "c"]) == expected

    @pytest.mark.parametrize("quantized", ["ab", "a", "b", ""])
    def test_openvino_runs_the_convolutions_in_any_case(self, quantized: str) -> None:
        model = residual(quantized=quantized)
        assert in_int8(OPENVINO, model, ["a", "b", "c"]) == ["a", "b", "c"]
        assert error_in_lsb(OPENVINO, model) <= 1.01

    @pytest.mark.parametrize("scale", [SCALE, 0.07])
    @pytest.mark.parametrize("runtime", BOTH)
    def test_concat_takes_inputs_of_equal_or_different_scales(self, runtime: Runtime, scale: float) -> None:
        model = concat(scales=(SCALE, scale))
        assert in_int8(runtime, model, ["a", "b", "concat", "c"]) == ["a", "b", "concat", "c"]
        assert error_in_lsb(runtime, model) <= 1.01

    def test_concat_quantized_after_it_only_leaves_onnxruntime_in_float(self) -> None:
        model = concat(scales=None)
        assert in_int8(ORT, model, ["a", "b", "concat", "c"]) == ["c"]
        assert in_int8(OPENVINO, model, ["a", "b", "concat", "c"]) == ["a", "b", "concat", "c"]

    @pytest.mark.parametrize(("scale", "runs"), [(SCALE, True), (0.07, False)])
    def test_openvino_convolves_in_float_after_a_concat_of_two_scales_alone(
        self, scale: float, runs: bool
    ) -> None:
        """Hence constants, which have scales of their own, are joined in float."""
        g = Graph(1, 16, 8, 8)
        x = g.quantized("x")
        sides = [g.quantized(g.conv(x, name, 16, 16), own) for name, own in (("a", SCALE), ("b", scale))]
        model = g.model(g.conv(g.add("Concat", sides, "concat", axis=1), "c", 32, 16, 3))
        assert ("c" in in_int8(OPENVINO, model, ["a", "b", "c"])) is runs

    def test_openvino_gets_unsigned_values_through_a_concat_without_amx(self) -> None:
        """Signed ones come out wrong on processors without AMX (2026.4.1): hence unsigned activations for OpenVINO."""
        assert error_without_amx("uint8", 128) <= 1.01

    @pytest.mark.parametrize("axis", [1, 2])
    def test_openvino_loads_no_product_after_a_concat_along_rows(self, axis: int) -> None:
        """Unless zero-points are 0, or something stands between the Concat and its quantizer (2026.4.1)."""
        with pytest.raises(ModelError, match="cannot be broadcasted"):
            OPENVINO.open(joined("MatMul", axis, 128))
        for fine in (
            joined("MatMul", axis, 0),
            joined("MatMul", axis, 128, "MaxPool"),
            joined("MatMul", 3, 128),
        ):
            assert [row.int8 for row in OPENVINO.executed(fine) if row.op == "FullyConnected"] == [True]
            assert error_in_lsb(OPENVINO, fine) <= 1.01

    def test_openvino_convolves_in_float_after_a_concat_along_rows(self) -> None:
        for axis, runs in ((1, True), (2, False), (3, False)):
            rows = OPENVINO.executed(joined("Conv", axis, 128))
            assert [row.int8 for row in rows if row.op == "Convolution"] == [runs]
