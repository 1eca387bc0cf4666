"""Where OpenVINO needs a bias: convolutions without one that several read."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint import qdq
from tinyint.graph.prepare import prepare
from tinyint.numerics import UINT8, QParams
from tinyint.plan import Plan, plan
from tinyint.qparams import Assignment
from tinyint.recipe import Recipe
from tinyint.targets import get_target

FLOAT = "[other] z = Tanh(c)"


def forked(conv: str, rest: str, bias: float = 0.0) -> ir.Model:
    text = f"g (float[N,3,8,8] x) => (float[N,4,h,w] y, float[N,4,i,j] z) {{ [a] {conv} {rest} [b] y = Conv(c,w) }}"
    weights = {"v": (4, 3, 1, 1), "t": (3, 4, 2, 2), "w": (4, 4, 1, 1), "zeros": np.full(4, bias, np.float32)}
    used = {name: weight for name, weight in weights.items() if f"{name})" in text or f",{name}," in text}
    return prepare(build(text, **used))


def planned(target: str, model: ir.Model) -> Plan:
    return plan(model, get_target(target), Recipe.load("default"))


@pytest.mark.parametrize(
    ("conv", "rest", "bias", "needed"),
    [
        ("c = Conv(x,v)", FLOAT, 0.0, True),
        ("c = Conv(x,v,zeros)", FLOAT, 0.0, True),
        ("c = Conv(x,v,zeros)", FLOAT, 0.01, False),
        ("c = ConvTranspose(x,t)", FLOAT, 0.0, False),  # all read the quantizer
        ("m = Conv(x,v) [turn] c = Transpose<perm=[0,1,3,2]>(m)", FLOAT, 0.0, True),
        ("m = Conv(x,v) [relu] c = Relu(m)", FLOAT, 0.0, False),
    ],
)
def test_a_bias_where_several_read_what_has_none(conv: str, rest: str, bias: float, needed: bool) -> None:
    model = forked(conv, rest, bias)
    places = {("a", 2)} if needed else set()
    for target in ("openvino-vnni", "openvino-avx2"):
        found = planned(target, model)
        assert found.biases == places
        assert not needed or ("a", 2) not in found.constants
    assert planned("x86-vnni", model).biases == set()


def test_the_second_convolution_is_read_by_the_graph_alone() -> None:
    assert ("b", 2) not in planned("openvino-vnni", forked("c = Conv(x,v)", FLOAT)).biases


@pytest.mark.parametrize("conv", ["c = Conv(x,v)", "c = Conv(x,v,zeros)"])
def test_the_bias_is_lost_beside_any_sum_and_stands_for_that_of_zeros(conv: str) -> None:
    model = forked(conv, FLOAT)
    found = planned("openvino-vnni", model)
    params = QParams(scale=np.float32(0.5), zero_point=np.uint8(3), qtype=UINT8)
    tensors = dict.fromkeys(found.tensors, params)
    written = qdq.insert(model, found, Assignment(tensors=tensors, constants={}))
    bias = next(node for node in written.graph if node.name == "a").inputs[2]
    assert bias is not None
    assert bias.const_value is not None
    values = bias.const_value.numpy()
    np.testing.assert_array_equal(values, np.full(4, 1e-30, np.float32))
    assert (np.float32(1e-20) + values == np.float32(1e-20)).all()
    assert "zeros" not in written.graph.initializers
