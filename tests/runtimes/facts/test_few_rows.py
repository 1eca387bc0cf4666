"""What OpenVINO 2026.4.1 makes of a product of few rows before a quantizer, where one thread runs all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.processor import X86
from tests.runtimes.facts.probes import OPENVINO, ORT
from tests.runtimes.graphs import Graph
from tinyint.runtimes.host import host

pytestmark = X86

NEXT_TO_NOTHING = np.linspace(1e-30, 2e-30, 8, dtype=np.float32)
HALF = np.full(8, 0.5, np.float32)
NEARLY_HALF = np.concatenate([HALF[:1], np.nextafter(HALF[1:], np.float32(0))])
SINGLE = [None, np.zeros(8, np.float32), np.full(8, 1e-30, np.float32), HALF]
UNEVEN = [NEXT_TO_NOTHING, NEARLY_HALF]


def two_products(
    shape: tuple[int | str, ...],
    bias: np.ndarray | None,
    *,
    op: str = "Gemm",
    columns: int = 8,
    dtype: str = "uint8",
    relu: bool = False,
    arithmetic: Sequence[str] = (),
) -> bytes:
    """A product with a scale a channel, a quantizer, and a product that reads it; arithmetic before the quantizer."""
    g = Graph(*shape)
    zero_point = 128 if dtype == "uint8" and not relu else 0

    def weight(name: str, inputs: int, outputs: int) -> str:
        codes = g.rng.integers(-64, 65, (inputs, outputs)).astype("int8")
        scales = np.linspace(0.002, 0.006, outputs, dtype=np.float32)
        held = {f"{name}_q": codes, f"{name}_scale": scales, f"{name}_zero": np.zeros(outputs, np.int8)}
        return g.add("DequantizeLinear", [g.constant(n, c) for n, c in held.items()], name, axis=1)

    inputs = [g.quantized("x"), weight("v", 8, columns)]
    added = [] if bias is None else [g.constant("b", bias[:columns])]
    if op == "Gemm":
        y = g.add("Gemm", [*inputs, *added], "a")
    else:
        y = g.add("MatMul", inputs, "a")
        y = g.add("Add", [y, *added], "bias") if added else y
    for name in arithmetic:
        y = g.add(name, [y, y if name == "Max" else g.constant(f"{name}_by", np.float32(1.5))], name)
    y = g.quantized(g.add("Relu", [y], "relu") if relu else y, zero_point=zero_point, dtype=dtype)
    return g.model(g.add("MatMul", [y, weight("w", columns, 5)], "b"))


def is_right(model: bytes, threads: int = 1) -> bool:
    simulated, session = ORT.open(model, threads=1, optimize=False), OPENVINO.open(model, threads=threads)
    shape = [size or 3 for size in session.inputs[0].shape]
    feeds = {"x": np.random.default_rng(1).uniform(-6, 6, shape).astype(np.float32)}
    (expected,), (got,) = simulated.run(feeds).values(), session.run(feeds).values()
    return float(np.abs(got - expected).max()) < 0.05 * float(np.abs(expected).max())


FAST_BUT_WRONG = pytest.mark.skipif(  # AMX has kernels of its own
    not (host().has_vnni and host().has_avx512) or host().has_amx_int8,
    reason="a fact about processors with AVX-512 and VNNI, without AMX",
)


@pytest.mark.parametrize("op", ["Gemm", "MatMul"])
class TestFewRows:
    @FAST_BUT_WRONG
    @pytest.mark.parametrize("rows", [1, 2, 8])
    @pytest.mark.parametrize("bias", SINGLE, ids=["none", "zeros", "tiny", "half"])
    def test_up_to_8_rows_are_garbage_without_a_bias_of_different_numbers(
        self, op: str, rows: int, bias: np.ndarray | None
    ) -> None:
        assert not is_right(two_products((rows, 8), bias, op=op))
        assert not is_right(two_products((rows, 8), bias, op=op, dtype="int8"))

    @pytest.mark.parametrize("rows", [1, 2, 8, 9, "n"])
    @pytest.mark.parametrize("bias", UNEVEN, ids=["next to nothing", "nearly half"])
    def test_all_is_well_with_one(self, op: str, rows: int | str, bias: np.ndarray) -> None:
        for threads in (1, 2):
            assert is_right(two_products((rows, 8), bias, op=op), threads)
            assert is_right(two_products((rows, 8), bias, op=op, dtype="int8"), threads)
            assert is_right(two_products((rows, 8), bias, op=op, relu=True), threads)

    @FAST_BUT_WRONG
    @pytest.mark.parametrize("arithmetic", ["Mul", "Div", "Sub"])
    def test_no_bias_mends_what_arithmetic_is_folded_into(self, op: str, arithmetic: str) -> None:
        if arithmetic != "Sub":
            assert not is_right(two_products((3, 8), NEXT_TO_NOTHING, op=op, arithmetic=[arithmetic]))
        assert not is_right(two_products((3, 8), None, op=op, arithmetic=[arithmetic]))

    @pytest.mark.parametrize("arithmetic", ["Mul", "Div", "Sub"])
    def test_what_is_read_through_a_max_is_not_folded(self, op: str, arithmetic: str) -> None:
        assert is_right(two_products((3, 8), None, op=op, arithmetic=["Max", arithmetic]))

    @pytest.mark.parametrize("bias", [None, HALF], ids=["none", "half"])
    def test_all_is_well_with_more_rows_an_open_number_or_one_column(
        self, op: str, bias: np.ndarray | None
    ) -> None:
        for shape in ((9, 8), (64, 8), ("n", 8)):
            assert is_right(two_products(shape, bias, op=op))
        assert is_right(two_products((3, 8), bias, op=op, columns=1))


@pytest.mark.parametrize("shape", [(1, 1, 8), (1, 3, 8), (2, 2, 8)])
def test_few_rows_are_right_among_more_axes(shape: tuple[int, ...]) -> None:
    assert is_right(two_products(shape, None, op="MatMul"))
