from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build, operators, run
from tests.graph.prepared import IMAGE, F, check
from tinyint.graph.prepare import prepare


@pytest.mark.parametrize(
    "body",
    [
        "k = Identity(w)",
        "t = Transpose<perm=[1,0,2,3]>(w) k = Transpose<perm=[1,0,2,3]>(t)",
        "s = Constant<value_ints=[4,4,3,3]>() k = Reshape(w,s)",
        "f = Identity(w) s = Constant<value_ints=[0]>() u = Unsqueeze(f,s) k = Squeeze(u,s)",
        "s = Constant<value_float=0.5>() k = Mul(w,s)",
    ],
)
def test_weights_after_other_nodes_are_uncovered(body: str) -> None:
    model = build(f"{IMAGE} {{ {body} y = Conv<pads=[1,1,1,1]>(x,k) }}", w=(4, 4, 3, 3))
    prepared = check(model, ["Conv"])
    assert prepared.graph.node(0).inputs[1].is_initializer()


def test_random_and_growing_operators_are_not_folded() -> None:
    text = (
        "g (float[1] x) => (float[1] y) { r = RandomNormal<shape=[1]>() s = "
        "Constant<value_ints=[1024,1025]>() e = ConstantOfShape(s) m = ReduceMax<keepdims=0>(e) a = Mul(r,m)"
        " y = Add(a,x) }"
    )
    prepared = prepare(build(text))
    assert operators(prepared) == ["RandomNormal", "ConstantOfShape", "ReduceMax", "Mul", "Add"]


def test_scalars_stay_scalars_when_they_are_folded() -> None:
    text = """g (float[N] x) => (int64[n] y) { one = Constant<value_int=1>() three = Add(one,two) zero = Sub(one,one)
        s = Shape(x) n = ReduceSum<keepdims=0>(s) end = Add(n,three) y = Range(zero,end,one) }"""
    model = build(text, two=np.array(2, np.int64))
    prepared = prepare(model)
    assert operators(prepared) == ["Shape", "ReduceSum", "Add", "Range"]
    np.testing.assert_array_equal(run(prepared, {"x": np.zeros(4, F)})[0], np.arange(7))
