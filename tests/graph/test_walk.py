from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import constant_of, consumers, is_float32, macs, sole_consumer, static_shape


@pytest.mark.parametrize(
    ("text", "weights", "expected"),
    [
        # 6x6 outputs, 8 channels, each over 3x3 of 4 channels: 36 * 8 * 36
        ("g (float[N,4,8,8] x) => (float[N,8,6,6] y) { [n] y = Conv(x,w) }", {"w": (8, 4, 3, 3)}, 10368),
        # depthwise: 36 * 4 * 9
        (
            "g (float[N,4,8,8] x) => (float[N,4,6,6] y) { [n] y = Conv<group=4>(x,w) }",
            {"w": (4, 1, 3, 3)},
            1296,
        ),
        # every input element meets 2x2 weights of each of its group's 3 outputs: 4 * 25 * 3 * 4
        (
            "g (float[N,4,5,5] x) => (float[N,6,10,10] y) { [n] y = ConvTranspose<group=2,strides=[2,2]>(x,w) }",
            {"w": (4, 3, 2, 2)},
            1200,
        ),
        ("g (float[N,5] x) => (float[N,7] y) { [n] y = Gemm(x,w) }", {"w": (5, 7)}, 35),
        ("g (float[5,2] x) => (float[2,7] y) { [n] y = Gemm<transA=1,transB=1>(x,w) }", {"w": (7, 5)}, 70),
        ("g (float[N,3,5] x) => (float[N,3,7] y) { [n] y = MatMul(x,w) }", {"w": (5, 7)}, 105),
        ("g (float[2,3,5] x, float[2,5,4] z) => (float[2,3,4] y) { [n] y = MatMul(x,z) }", {}, 120),
    ],
)
def test_macs_counted_by_hand(text: str, weights: dict[str, tuple[int, ...]], expected: int) -> None:
    assert macs(prepare(build(text, **weights))) == {"n": expected}


def test_macs_without_shapes_are_left_out() -> None:
    model = build("g (float x) => (float y) { [n] y = com.microsoft.Gelu(x) }")
    assert macs(model) == {}


def test_questions_to_values() -> None:
    model = build(
        "g (float[N,2] x, float[2,2] d) => (float[N,2] y, float[N,2] h) { h = MatMul(x,w) a = MatMul(h,d)"
        " b = Add(a,a) c = Constant<value_float=2.0>() e = Mul(b,c) y = Neg(e) }",
        w=(2, 2), d=np.eye(2, dtype=np.float32),
    )  # fmt: skip
    first, second, add, constant, scale, last = model.graph
    assert np.shape(constant_of(first.inputs[1])) == (2, 2)
    assert constant_of(second.inputs[1]) is None  # a default that the caller may override
    assert constant_of(constant.outputs[0]) == 2.0
    assert constant_of(first.inputs[0]) is None
    assert constant_of(None) is None
    assert static_shape(first.inputs[0]) == (None, 2)
    assert static_shape(add.outputs[0]) is None
    assert static_shape(ir.Value(name="v", shape=ir.Shape([-1, 2, 0]))) == (None, 2, 0)
    assert is_float32(first.inputs[0])
    assert not is_float32(None)
    assert consumers(second.outputs[0]) == ((add, 0), (add, 1))
    assert sole_consumer(second.outputs[0]) is None
    assert sole_consumer(add.outputs[0]) is scale
    assert sole_consumer(scale.outputs[0]) is last
    assert sole_consumer(first.outputs[0]) is None  # a graph output as well
