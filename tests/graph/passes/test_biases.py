"""Biases that are not constant vectors are added after the operator."""

from __future__ import annotations

import pytest

from tests.graph.build import build
from tests.graph.prepared import check
from tests.models import noise
from tests.processor import OWN
from tests.quantization.test_ptq import outputs, static
from tinyint.graph.prepare import prepare
from tinyint.numbers.numerics import sqnr_db
from tinyint.runtimes import get_runtime

CONV = "net (float[2, 4, 8, 8] x, float[4] c) => (float[A, B, C, D] y)"
GEMM = "net (float[3, 8] x, float[3, 6] c) => (float[3, 6] y)"


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_computed_bias_of_a_convolution_is_added(op: str) -> None:
    model = build(f"{CONV} {{ b = Neg (c) y = {op} <pads = [1, 1, 1, 1]> (x, w, b) }}", w=(4, 4, 3, 3))
    check(model, ["Neg", op, "Unsqueeze", "Add"])


@pytest.mark.parametrize("shape", [(3, 1), (3, 6)])
def test_a_bias_of_a_number_for_each_row_is_added(shape: tuple[int, ...]) -> None:
    model = build(f"{GEMM} {{ g = Gemm <beta = 0.5> (x, w, b) y = Add (g, c) }}", w=(8, 6), b=shape)
    check(model, ["Gemm", "Add", "Add"])


def test_a_computed_matrix_is_added() -> None:
    check(build(f"{GEMM} {{ y = Gemm <transB = 1> (x, w, c) }}", w=(6, 8)), ["Gemm", "Add"])


@pytest.mark.parametrize(
    "line", ["y = Gemm (x, w, b)", "y = Gemm <beta = 0.5> (x, w, c)", "g = Neg (x) y = Gemm (g, w)"]
)
def test_others_stay(line: str) -> None:
    model = build(f"{GEMM} {{ {line} }}", w=(8, 6), b=(6,))
    check(model, ["Neg", "Gemm"] if "Neg" in line else ["Gemm"])


@pytest.mark.parametrize(("target", "runtime"), OWN.items())
@pytest.mark.parametrize(
    "text",
    [
        "net (float[1, 4, 8, 8] x) => (float[A, B, C, D] y) { m = ReduceMean <axes = [0, 2, 3], keepdims = 0> (x) "
        "[conv] y = Conv (x, k, m) }",
        "net (float[3, 8] x) => (float[3, 6] y) { [conv] y = Gemm (x, w, b) }",
    ],
)
def test_the_product_runs_in_int8_under_its_own_name(text: str, target: str, runtime: str) -> None:
    model = prepare(build(text, k=(4, 4, 3, 3), w=(8, 6), b=(3, 1)))
    quantized = static(model, target)
    executed = get_runtime(runtime).executed(quantized.model)
    assert "conv" in {source for row in executed if row.int8 for source in row.sources}
    samples = noise(model, 2, seed=2)
    found = outputs(get_runtime(runtime), quantized.model, samples)
    assert sqnr_db(outputs(get_runtime("onnxruntime"), model, samples), found) > 30
