"""ONNX Runtime on 64-bit ARM: which sums are exact, and what signed activations do.

`benchmarks/arm/facts.py` runs these on emulated processors with and without 8-bit dot products.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.processor import ARM
from tests.runtimes.facts.planted import DEPTHWISE, KINDS, Kind, filters, pairs_that_saturate, run
from tests.runtimes.facts.probes import ORT, after_conv, error_in_lsb, in_int8
from tests.runtimes.facts.test_signedness import pair
from tests.runtimes.graphs import Graph
from tinyint.runtimes.host import host

pytestmark = ARM

EVERY_KIND = {**KINDS, "depthwise conv": DEPTHWISE}


def signed(kind: Kind, weight: np.ndarray, step: float) -> bytes:
    """The operator on int8 codes of scale 1 and zero-point 0; its output in int8 codes of `step`."""
    g = Graph(*kind.x)
    x = g.quantized("x", scale=1.0, zero_point=0, dtype="int8")
    y = g.add(kind.op, [x, g._dequantized("w", weight, 1.0, kind.outputs, 0)], "op", **kind.attributes)
    return g.model(g.quantized(y, scale=step, zero_point=0, dtype="int8"))


def error_of_largest_sums(kind: Kind, lowest_weight: int) -> float:
    """In codes: of filters that hold the largest numbers, all alike and at random, under activations of -128."""
    rng = np.random.default_rng(0)
    rows = rng.choice([lowest_weight, 127], (4 * kind.groups, kind.length)).astype(np.int8)
    rows[0], rows[1] = lowest_weight, 127
    model = signed(kind, filters(kind, rows), step=float(kind.length * 128))
    off = 0.0
    for x in (np.full(kind.x, -128), np.full(kind.x, 127), rng.choice([-128, 127], kind.x)):
        expected, found = (run("onnxruntime", model, x, optimize=optimize) for optimize in (False, True))
        assert np.ptp(expected) > 0
        off = max(off, float(np.abs(found - expected).max()) / (kind.length * 128))
    return off


def product(dtype: str, zero_point: int, value: float = -128.0) -> tuple[float, float]:
    """The largest error of a product of two activations, all of the same value, and the largest result."""
    g = Graph(1, 2, 16, 32)
    operands = [
        g.quantized(operand, scale=1.0, zero_point=zero_point, dtype=dtype)
        for operand in ("x", g.add("Transpose", ["x"], "turn", perm=[0, 1, 3, 2]))
    ]
    model = g.model(g.add("MatMul", operands, "op"))
    assert in_int8(ORT, model, ["op"]) == ["op"]
    x = np.full(g.shape, value)
    expected, found = (run("onnxruntime", model, x, optimize=optimize) for optimize in (False, True))
    return float(np.abs(found - expected).max()), float(np.abs(expected).max())


class TestSums:
    @pytest.mark.parametrize("name", EVERY_KIND)
    def test_no_pair_of_products_saturates(self, name: str) -> None:
        assert pairs_that_saturate("onnxruntime", EVERY_KIND[name]) == []

    @pytest.mark.parametrize("name", EVERY_KIND)
    def test_weights_without_minus_128_are_added_exactly_to_signed_activations(self, name: str) -> None:
        assert error_of_largest_sums(EVERY_KIND[name], -127) <= 1.01

    def test_minus_128_times_itself_overflows_without_dot_products(self) -> None:
        assert (error_of_largest_sums(KINDS["MatMul"], -128) > 50) is not host().has_dotprod

    def test_two_signed_activations_may_hold_it(self) -> None:
        off, largest = product("int8", 0)
        assert largest == 32 * 128 * 128
        assert (off == 2 * largest) is not host().has_dotprod

    def test_two_unsigned_ones_are_multiplied_exactly(self) -> None:
        assert product("uint8", 128) == (0.0, 32 * 128 * 128)

    def test_a_range_from_minus_127_does_not_keep_signed_ones_from_it(self) -> None:
        """What lies below the range is stored as -128 all the same, so that no calibration rules it out."""
        assert product("int8", 1, -128.0) == (0.0, 32 * 128 * 128)
        off, largest = product("int8", 1, -129.0)
        assert largest == 32 * 129 * 129
        assert (off > largest) is not host().has_dotprod


class TestSignedness:
    @pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 0), ("int8", 7), ("uint8", 128)])
    def test_an_activation_reaches_two_convolutions_in_int8(self, dtype: str, zero_point: int) -> None:
        """Other than on x86, where a signed one leaves them in float."""
        model = pair(dtype, zero_point)
        assert in_int8(ORT, model, ["a", "b"]) == ["a", "b"]
        assert error_in_lsb(ORT, model) <= 1.01

    @pytest.mark.parametrize(("dtype", "zero_point", "expected"), [("int8", -128, []), ("uint8", 0, ["a"])])
    def test_relu_is_absorbed_by_an_unsigned_range_only(
        self, dtype: str, zero_point: int, expected: list[str]
    ) -> None:
        """On x86 by a signed one as well."""
        assert in_int8(ORT, after_conv("Relu", zero_point=zero_point, dtype=dtype), ["a"]) == expected
