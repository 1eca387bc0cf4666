"""Convolutions of one place whose weights OpenVINO would misread if they were integers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.errors import ModelError
from tinyint.graph.prepare import prepare
from tinyint.quantization.plan.points import misread_points
from tinyint.quantization.ptq import Quantized, quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target

OPENVINO, ORT = "openvino-vnni", "x86-vnni"


def network(rest: str, kernel: int = 1, group: int = 1) -> ir.Model:
    """`rest` makes `y` of `x`, with the weight `w` and the vector `b`."""
    text = f"g (float[1,16,16,16] x) => (float y, float z) {{ {rest} [other] z = Conv(x,v) }}"
    weights = {
        "w": (16, 16 // group, kernel, kernel),
        "v": (16, 16, 1, 1),
        "b": np.ones((1, 16, 1, 1), np.float32),
        "s": np.array([0, -1]),
        "h": np.ones((8, 8), np.float32),  # which is no bias
    }
    return prepare(
        build(text, 17, **{n: w for n, w in weights.items() if f"{n})" in text or f"{n}," in text})
    )


@pytest.mark.parametrize(
    ("rest", "misread"),
    [
        ("[a] m = Conv<strides=[2,2]>(x,w) y = Flatten(m)", True),
        ("[a] m = Conv<strides=[1,2]>(x,w) y = Reshape(m,s)", True),
        ("[a] m = Conv<pads=[0,0,0,1]>(x,w) y = Flatten(m)", True),
        ("[a] m = Conv(x,w) y = Flatten(m)", False),
        ("[a] m = Conv<strides=[2,2]>(x,w) y = Tanh(m)", False),
        ("[a] m = Conv<strides=[2,2]>(x,w) t = Tanh(m) y = Flatten(t)", False),
        ("[a] m = Conv(x,w) y = Transpose<perm=[0,2,3,1]>(m)", False),
        ("[a] m = Conv(x,w) y = Transpose<perm=[0,1,3,2]>(m)", True),
        ("[a] m = Conv<strides=[2,2]>(x,w) n = Add(m,h) y = Flatten(n)", True),
        ("[a] m = Conv<strides=[2,2]>(x,w) n = Add(h,m) y = Flatten(n)", True),
        ("[a] m = Conv<strides=[2,2]>(x,w) n = Add(m,m) y = Flatten(n)", False),
        ("[a] m = Conv<strides=[2,2]>(x,w) n = Mul(m,h) y = Flatten(n)", False),
        ("[a] m = Conv<strides=[2,2]>(x,w) n = Add(m,h) y = Tanh(n)", False),
        ("[a] m = Conv<pads=[0,0,0,0],strides=[1,1]>(x,w) y = Flatten(m)", False),
        ("t = Transpose<perm=[0,3,1,2]>(x) [a] m = Conv(t,w) y = Tanh(m)", False),
        ("t = Transpose<perm=[0,3,1,2]>(x) [a] m = Conv<strides=[2,2]>(t,w) y = Tanh(m)", True),
        ("t = Transpose<perm=[0,1,3,2]>(x) [a] m = Conv(t,w) y = Tanh(m)", True),
    ],
)
def test_beside_what_it_is_misread(rest: str, misread: bool) -> None:
    model = network(rest)
    assert list(misread_points(model, get_target(OPENVINO))) == (["a"] if misread else [])
    assert misread_points(model, get_target(ORT)) == {}


def test_larger_kernels_and_groups_are_read_as_they_are() -> None:
    for how in ({"kernel": 3}, {"group": 2}):
        text = f"[a] m = Conv<strides=[2,2],group={how.get('group', 1)}>(x,w) y = Flatten(m)"
        assert misread_points(network(text, **how), get_target(OPENVINO)) == {}


def stored(model: ir.Model, target: str) -> Quantized:
    recipe = Recipe.load("weight_only")
    return quantize_graph(model, target=get_target(target), recipe=recipe)


def test_weight_only_keeps_its_weight_in_float_with_the_reason() -> None:
    model = network("[a] m = Conv<strides=[2,2]>(x,w) y = Flatten(m)")
    found = stored(model, OPENVINO)
    assert set(found.constants) == {("other", 1)}
    assert "takes it for a product of matrices" in found.float_nodes["a"]
    assert "stored in integers" in found.float_nodes["other"]
    assert set(stored(model, ORT).constants) == {("a", 1), ("other", 1)}


def test_a_model_of_nothing_else_is_refused_with_the_reason() -> None:
    text = "g (float[1,16,16,16] x) => (float y) { [a] m = Conv<strides=[2,2]>(x,w) y = Flatten(m) }"
    model = prepare(build(text, 17, w=(16, 16, 1, 1)))
    with pytest.raises(ModelError, match=r"of node 'a', openvino\S* takes it for a product of matrices"):
        stored(model, OPENVINO)
