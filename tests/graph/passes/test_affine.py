"""Per-channel arithmetic goes into the linear operator before it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build, feeds_of, operators, run
from tests.graph.prepared import BN, IMAGE, KERNEL, F, check
from tinyint.graph.prepare import prepare


def test_a_worked_batch_norm() -> None:
    # scale 3, shift 5, mean 1, var 4 - eps: y = 3·(2x + 0.5 - 1)/2 + 5 = 3x + 4.25
    model = build(
        "g (float[1,1,1,1] x) => (float[1,1,1,1] y) { c = Conv(x,w,b) y = "
        "BatchNormalization<epsilon=0.25>(c,s,t,m,v) }",
        w=np.full((1, 1, 1, 1), 2, F), b=F([0.5]), s=F([3]), t=F([5]), m=F([1]), v=F([3.75]),
    )  # fmt: skip
    prepared = prepare(model)
    assert prepared.graph.initializers["w"].const_value.numpy().item() == 3.0
    assert prepared.graph.initializers["b"].const_value.numpy().item() == 4.25


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_batch_norm_goes_into_the_convolution_before_it(op: str, bias: bool, group: int) -> None:
    model = build(
        IMAGE + f"{{ c = {op}<group={group},{KERNEL}>(x,w{',b' if bias else ''})"
        " y = BatchNormalization<epsilon=0.01>(c,scale,shift,mean,var) }",
        w=(4, 4 // group, 3, 3), **({"b": (4,)} if bias else {}), **BN,
    )  # fmt: skip
    prepared = check(model, [op])
    assert len(prepared.graph.node(0).inputs) == 3


def test_batch_norm_in_training_mode_stays() -> None:
    model = build(
        f"{IMAGE} {{ c = Conv<pads=[1,1,1,1]>(x,w) y, m2, v2 = "
        f"BatchNormalization<training_mode=1>(c,scale,shift,mean,var) }}",
        w=(4, 4, 3, 3), **BN,
    )  # fmt: skip
    check(model, ["Conv", "BatchNormalization"], 1e-4)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_constant_arithmetic_after_a_convolution_is_folded(op: str) -> None:
    model = build(
        f"{IMAGE} {{ c = {op}<{KERNEL},group=2>(x,w) n = Neg(c) d = Mul(m,n) e = Add(d,a) f = Sub(e,s) h = Div(f,v) "
        f"i = BatchNormalization(h,scale,shift,mean,var) y = Relu(i) }}",
        w=(4, 2, 3, 3), m=(4, 1, 1), a=(1, 4, 1, 1), s=F(0.5), v=F([2.0]), **BN,
    )  # fmt: skip
    check(model, [op, "Relu"])


@pytest.mark.parametrize(
    "body",
    [
        "c = Conv<pads=[1,1,1,1]>(x,w) z = BatchNormalization(c,scale,shift,mean,var) y = Add(c,z)",
        "r = Relu(x) y = BatchNormalization(r,scale,shift,mean,var)",
        "v = MatMul(x,k) y = BatchNormalization(v,scale,shift,mean,var)",
        "c = Conv<pads=[1,1,1,1]>(x,w) a = ReduceMax<axes=[0,2,3],keepdims=0>(x) y = "
        "BatchNormalization(c,a,shift,mean,var)",
        "c = Conv<pads=[1,1,1,1]>(x,w) q = Constant<value_floats=[0.0,1.0,2.0,3.0,4.0,5.0]>() y = Mul(c,q)",
        "c = Conv<pads=[1,1,1,1]>(x,w) y = Div(one,c)",
    ],
)
def test_what_cannot_be_folded_stays(body: str) -> None:
    weights = {"w": (4, 4, 3, 3), "k": (6, 6), "one": F(1), **BN}
    used = {
        name: value
        for name, value in weights.items()
        if name in body.replace("(", ",").replace(")", ",").split(",")
    }
    model = build(f"{IMAGE} {{ {body} }}", **used)
    expected = [op for op in operators(model) if op != "Constant"]
    check(model, expected)


def test_division_by_zero_is_not_folded() -> None:
    model = build(f"{IMAGE} {{ c = Conv<pads=[1,1,1,1]>(x,w) y = Div(c,z) }}", w=(4, 4, 3, 3), z=F(0))
    assert operators(prepare(model)) == ["Conv", "Div"]


def test_a_graph_output_that_is_an_initializer_is_not_folded_into() -> None:
    text = f"{IMAGE.replace('y)', 'y, float[4,4,3,3] w)')} {{ c = Conv<pads=[1,1,1,1]>(x,w) y = Mul(c,two) }}"
    model = build(text, w=(4, 4, 3, 3), two=F(2))
    prepared = prepare(model)
    feeds = feeds_of(model)
    for old, new in zip(run(model, feeds), run(prepared, feeds), strict=True):
        np.testing.assert_allclose(new, old, rtol=2e-5, atol=1e-5)


def test_a_weight_from_a_constant_that_is_an_output_is_folded_into_a_copy() -> None:
    text = """g (float[N,2,1,1] x) => (float[N,1,1,1] y, float[1,2,1,1] w) {
        w = Constant<value=float[1,2,1,1] {1.0, 2.0}>() c = Conv(x,w) y = Mul(c,three) }"""
    prepared = prepare(build(text, three=F(3)))
    y, w = run(prepared, {"x": np.full((1, 2, 1, 1), 10, F)})
    assert (y.item(), w.reshape(-1).tolist()) == (90.0, [1.0, 2.0])
    assert "Mul" not in operators(prepared)


def test_weights_keep_their_type() -> None:
    double = {name: np.ones(4, np.float64) for name in ("scale", "shift", "mean", "var")}
    model = build(
        "g (double[1,4,6,6] x) => (double[1,4,4,4] y) { c = Conv(x,w) y = "
        "BatchNormalization(c,scale,shift,mean,var) }",
        w=np.ones((4, 4, 3, 3), np.float64), **double,
    )  # fmt: skip
    prepared = prepare(model)
    assert operators(prepared) == ["Conv"]
    assert {v.const_value.dtype for v in prepared.graph.initializers.values()} == {ir.DataType.DOUBLE}
