"""Which tensor a range is of, past epilogues and operators that move values."""

import re

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.graph.flow import bias_position, clamp_range, is_epilogue, observed, range_source, settled
from tinyint.graph.names import name_of

INFINITY = float("inf")
WEIGHTS = {
    "m": (4, 4),
    "b": (4,),
    "square": (4, 4),
    "minus": np.float32(-1),
    "zero": np.float32(0),
    "one": np.float32(1),
    "six": np.float32(6),
    "two": np.array([0, 6], np.float32),
}


def graph_of(body: str) -> ir.Graph:
    used = {name: weight for name, weight in WEIGHTS.items() if re.search(rf"\b{name}\b", body)}
    model = build(f"net (float[2, 4] x, float[2, 4] z, float k) => (float[A, B] y) {{ {body} }}", **used)
    for value in (out for node in model.graph for out in node.outputs):
        value.dtype = ir.DataType.FLOAT
    return model.graph


def only(body: str):
    return graph_of(body)[-1]


@pytest.mark.parametrize(
    ("clamp", "expected"),
    [
        ("Relu (x)", (0.0, INFINITY)),
        ("Clip (x, zero, six)", (0.0, 6.0)),
        ("Clip (x, minus, one)", (-1.0, 1.0)),
        ("Clip (x, zero)", (0.0, INFINITY)),
        ("Clip (x, , six)", (-INFINITY, 6.0)),
        ("Clip (x, one, six)", None),
        ("Clip (x, minus, minus)", None),
        ("Clip (x, k, six)", None),
        ("Clip (x, zero, two)", None),
        ("Neg (x)", None),
    ],
)
def test_the_range_of_a_clamp(clamp, expected):
    assert clamp_range(only(f"y = {clamp}")) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a = MatMul (x, m) y = Add (a, b)", 1),
        ("a = MatMul (x, m) y = Add (b, a)", 0),
        ("a = MatMul (x, m) y = Add (a, six)", None),  # one number for all columns
        ("a = MatMul (x, m) y = Add (a, z)", None),
        ("a = MatMul (x, m) y = Sub (a, b)", None),
        ("a = Gemm (x, m, b) y = Add (a, b)", None),  # it takes a bias itself
        ("a = MatMul (m, m) y = Add (a, square)", None),
        ("a = Neg (x) y = Add (a, b)", None),
    ],
)
def test_the_bias_after_a_product(body, expected):
    node = only(body)
    assert bias_position(node) == expected
    assert is_epilogue(node) is (expected is not None)


def test_a_product_that_others_read_has_no_epilogue():
    graph = graph_of("a = MatMul (x, m) c = Add (a, b) y = Mul (a, c)")
    assert bias_position(graph[1]) is None


def test_a_tensor_settles_after_the_epilogues_that_alone_read_it():
    graph = graph_of("a = MatMul (x, m) c = Add (a, b) d = Relu (c) y = Neg (d)")
    assert name_of(settled(graph[0].outputs[0])) == "d"
    assert name_of(settled(graph[2].outputs[0])) == "d"
    shared = graph_of("a = MatMul (x, m) d = Relu (a) y = Add (a, d)")
    assert name_of(settled(shared[0].outputs[0])) == "a"
    free = graph_of("a = MatMul (x, m) d = Clip (a, one, six) y = Neg (d)")
    assert name_of(settled(free[0].outputs[0])) == "a"


def test_the_range_of_what_was_moved_is_that_of_its_source():
    graph = graph_of("a = Neg (x) t = Transpose (a) r = Flatten (t) y = Relu (r)")
    assert name_of(range_source(graph[2].outputs[0])) == "a"
    assert name_of(range_source(graph[3].outputs[0])) == "y"
    assert name_of(range_source(graph.inputs[0])) == "x"
    constant = graph_of("t = Transpose (m) y = Add (t, z)")
    assert name_of(range_source(constant[0].outputs[0])) == "t"


def test_observed_are_the_sources_that_decide_a_scale():
    graph = graph_of("t = Transpose (x) a = MatMul (t, z) d = Relu (a) y = Add (d, b)")
    assert [name_of(value) for value in observed(graph)] == ["x", "z", "d", "y"]
