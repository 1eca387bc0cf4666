"""Which float tensor each quantizer stands for, in graphs as tinyint and others write them."""

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.diagnosis.pairs import pair

FLOAT = build(
    "net (float[1, 4] x) => (float[1, 3] y) { [one] t = MatMul (x, w) [cut] r = Relu (t) [bias] y = Add (r, b) }",
    w=np.arange(12, dtype=np.float32).reshape(4, 3),
    b=np.array([1, 2, 3], np.float32),
).graph
SCALES = "float s = {0.5}, float half = {0.25}, uint8 z = {128}"


def int8(body: str, inputs: str = "float[1, 4] x", outputs: str = "float[1, 3] y", **weights):
    known = {"w_q": np.arange(12, dtype=np.int8).reshape(4, 3), "wz": np.int8(0)} | weights
    used = {name: value for name, value in known.items() if name in body}
    return build(f"net ({inputs}) => ({outputs}) <{SCALES}> {{ {body} }}", **used).graph


def activations(graph) -> dict[str, tuple[str, str, float]]:
    return {a.name: (a.op, a.codes, float(a.params.scale)) for a in pair(FLOAT, graph).activations}


def test_our_own_names():
    body = "x_q = QuantizeLinear (x, s, z) x_dq = DequantizeLinear (x_q, s, z) y = Identity (x_dq)"
    assert activations(int8(body)) == {"x": ("Input", "x_q", 0.5)}
    numbered = "a_q = QuantizeLinear (x, s, z) r_dq_1 = DequantizeLinear (a_q, s, z) r_dq = Neg (r_dq_1) y = Neg (r_dq)"
    assert pair(FLOAT, int8(numbered)).unmatched == ()


def test_a_quantizer_of_an_output_stands_for_the_output():
    body = "t = MatMul (x, x) q = QuantizeLinear (t, s, z) y = DequantizeLinear (q, s, z)"
    assert activations(int8(body)) == {"y": ("Add", "q", 0.5)}


def test_others_quantize_a_tensor_under_its_own_name():
    with_clamp = """t = Neg (x) r = Relu (t) r_codes = QuantizeLinear (r, s, z)
        r_back = DequantizeLinear (r_codes, s, z) y = Neg (r_back)"""
    assert activations(int8(with_clamp)) == {"r": ("Relu", "r_codes", 0.5)}


def test_where_the_clamp_is_gone_the_quantizer_stands_for_its_output():
    body = "t = Neg (x) c = QuantizeLinear (t, s, z) back = DequantizeLinear (c, s, z) y = Neg (back)"
    assert activations(int8(body)) == {"r": ("Relu", "c", 0.5)}
    kept = """t = Neg (x) c = QuantizeLinear (t, s, z) back = DequantizeLinear (c, s, z) r = Relu (back)
        y = Neg (r)"""
    assert activations(int8(kept)) == {"t": ("MatMul", "c", 0.5)}


def test_a_tensor_may_have_several_quantizers_of_other_scales():
    body = """one = QuantizeLinear (x, s, z) a = DequantizeLinear (one, s, z) two = QuantizeLinear (x, s, z)
        b = DequantizeLinear (two, s, z) other = QuantizeLinear (x, half, z) c = DequantizeLinear (other, half, z)
        d = Add (a, b) y = Add (c, d)"""
    found = pair(FLOAT, int8(body)).activations
    assert [(a.codes, float(a.params.scale)) for a in found] == [("one", 0.5), ("other", 0.25)]


def test_a_quantizer_of_a_tensor_that_float_does_not_have_is_unmatched():
    body = "new = Neg (x) c = QuantizeLinear (new, s, z) back = DequantizeLinear (c, s, z) y = Neg (back)"
    found = pair(FLOAT, int8(body))
    assert (found.activations, found.unmatched) == ((), ("new",))


def test_parameters_that_are_computed_are_not_read():
    body = "k = Neg (s) c = QuantizeLinear (x, k, z) back = DequantizeLinear (c, k, z) y = Neg (back)"
    assert pair(FLOAT, int8(body)).unmatched == ("x",)


def test_a_weight_is_found_by_the_node_that_reads_it():
    body = "w_dq = DequantizeLinear (w_q, half, wz) [one] y = MatMul (x, w_dq)"
    (constant,) = pair(FLOAT, int8(body)).constants
    assert (constant.name, constant.op, constant.kind, constant.axis, constant.reader) == (
        "w",
        "MatMul",
        "weight",
        1,
        "one",
    )
    np.testing.assert_array_equal(constant.values, np.arange(12).reshape(4, 3))
    np.testing.assert_array_equal(constant.dequantized, 0.25 * np.arange(12).reshape(4, 3))


def test_a_weight_that_is_quantized_when_the_model_loads():
    body = "c = QuantizeLinear (w, half, wz) w_dq = DequantizeLinear (c, half, wz) [one] y = MatMul (x, w_dq)"
    (constant,) = pair(FLOAT, int8(body, w=np.arange(12, dtype=np.float32).reshape(4, 3))).constants
    np.testing.assert_array_equal(constant.codes, 4 * np.arange(12).reshape(4, 3))
    assert constant.reader == "one"


def test_an_int32_constant_is_a_bias():
    body = "b_dq = DequantizeLinear (b_q, half) [bias] y = Add (x, b_dq)"
    (constant,) = pair(
        FLOAT, int8(body, inputs="float[1, 3] x", b_q=np.array([4, 8, 12], np.int32))
    ).constants
    assert (constant.name, constant.kind) == ("b", "bias")
    np.testing.assert_array_equal(constant.dequantized, [1, 2, 3])


@pytest.mark.parametrize("shape", [(3, 4), (12,)])
def test_a_constant_of_another_shape_is_unmatched(shape):
    body = "w_dq = DequantizeLinear (w_q, half, wz) [one] y = MatMul (x, w_dq)"
    found = pair(FLOAT, int8(body, w_q=np.zeros(shape, np.int8)))
    assert (found.constants, found.unmatched) == ((), ("w_q",))


def test_the_weight_of_an_integer_product():
    body = """c, cs, cz = DynamicQuantizeLinear (x) k = MatMulInteger (c, w_q, cz, wz) l = Cast <to = 1> (k)
        y = Mul (l, w_scale)"""
    (constant,) = pair(FLOAT, int8(body, w_scale=np.float32(0.25))).constants
    assert (constant.name, constant.kind, float(constant.params.scale)) == ("w", "weight", 0.25)
    np.testing.assert_array_equal(constant.values, np.arange(12).reshape(4, 3))
