"""What a Concat has joined along rows: OpenVINO cannot take zero-points by row."""

import numpy as np
import pytest

from tests.graph.build import build
from tests.models import noise
from tests.processor import EXACT
from tests.quantization.test_ptq import outputs, static
from tinyint.graph.prepare import prepare
from tinyint.numbers.numerics import sqnr_db
from tinyint.runtimes import get_runtime

OPENVINO = [name for name, runtime in EXACT.items() if runtime == "openvino"]
RUNTIME = get_runtime("openvino")

# What reads `j`, the joined rows of the two products `a` and `b`.
CASES = {
    "a product": "[last] y = MatMul (j, w)",
    "a product past a transposition": "t = Transpose <perm = [0, 2, 1]> (j) [last] y = MatMul (t, wt)",
    "a product of what was joined twice": "k = Concat <axis = 2> (j, j) [last] y = MatMul (k, wide)",
    "two products": "[last] k = MatMul (j, w) l = MatMul (j, v) y = Add (k, l)",
    "a product after a Relu": "r = Relu (j) [last] y = MatMul (r, w)",
    "a product after a clip": "r = Clip (j, low, high) [last] y = MatMul (r, w)",
    "a product, and an output": "[last] y = MatMul (j, w) z = Relu (j)",
}


def network(tail: str):
    out = ", float[1, A, B] z" if "z =" in tail else ""
    return prepare(
        build(
            f"""net (float[1, 6, 8] x) => (float[1, C, D] y{out}) {{
              [one] a = MatMul (x, w1) [two] b = MatMul (x, w2) [join] j = Concat <axis = 1> (a, b) {tail} }}""",
            w1=(8, 16),
            w2=(8, 16),
            w=(16, 12),
            wide=(32, 12),
            low=np.float32(-1),
            high=np.float32(1),
            v=(16, 12),
            wt=(12, 5),
        )
    )


@pytest.mark.parametrize("target", OPENVINO)
@pytest.mark.parametrize("name", CASES)
def test_rows_that_were_joined_are_multiplied_in_int8(name, target):
    model = network(CASES[name])
    quantized = static(model, target)
    samples = noise(model, 4, seed=2)
    simulated = outputs(get_runtime("onnxruntime"), quantized.model, samples, optimize=False)
    real = outputs(RUNTIME, quantized.model, samples)
    assert sqnr_db(simulated, real) > 35
    ran = {source for row in RUNTIME.executed(quantized.model) if row.int8 for source in row.sources}
    assert {"one", "two", "last"} <= ran


@pytest.mark.parametrize(("axis", "runs"), [(1, True), (2, False), (3, False)])
@pytest.mark.parametrize("target", OPENVINO)
def test_a_convolution_behind_them_is_in_float_with_the_reason(axis, runs, target):
    model = prepare(
        build(
            f"""net (float[1, 3, 8, 8] x) => (float[A, B, C, D] y) {{
              [one] a = Conv (x, w1, b1) [two] b = Conv (x, w2, b2)
              [join] j = Concat <axis = {axis}> (a, b) [last] y = Conv (j, w) }}""",
            w1=(4, 3, 3, 3),
            w2=(4, 3, 3, 3),
            b1=(4,),
            b2=(4,),
            w=(5, 8 if axis == 1 else 4, 1, 1),
        )
    )
    quantized = static(model, target)
    assert (quantized.float_nodes.get("last") is None) is runs
    if not runs:
        assert "after 'join', which joins along another axis than 1" in quantized.float_nodes["last"]
    ran = {source for row in RUNTIME.executed(quantized.model) if row.int8 for source in row.sources}
    assert ("last" in ran) is runs


@pytest.mark.parametrize("target", OPENVINO)
def test_what_cannot_be_negative_keeps_all_its_codes(target):
    model = prepare(
        build(
            """net (float[1, 6, 8] x) => (float[1, 12, 5] y) {
              [one] a = MatMul (x, w1) [r1] c = Relu (a) [two] b = MatMul (x, w2)
              [r2] d = Relu (b) [join] j = Concat <axis = 1> (c, d) [last] y = MatMul (j, w) }""",
            w1=(8, 16),
            w2=(8, 16),
            w=(16, 5),
        )
    )
    quantized = static(model, target)
    assert {tensor.scheme.qtype.storage for tensor in quantized.plan.tensors.values()} == {"uint8"}
    samples = noise(model, 2, seed=2)
    simulated = outputs(get_runtime("onnxruntime"), quantized.model, samples, optimize=False)
    assert np.allclose(outputs(RUNTIME, quantized.model, samples), simulated, atol=1e-3)
