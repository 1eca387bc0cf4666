"""Where quantizers stand around int8 nodes, and the schemes that they have."""

from dataclasses import replace

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.errors import TargetError
from tinyint.graph.ops import ALL
from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import INT8, UINT8
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.plan import ConstantPlan, Role, Stretch
from tinyint.quantization.plan.tensors import Placement, activation_scheme, place, weight_plan
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target

X86, AVX2, OPENVINO, TENSORRT = (get_target(n) for n in ("x86-vnni", "x86-avx2", "openvino-vnni", "tensorrt"))
DEFAULT = Recipe.load("default")
U8 = Scheme(qtype=UINT8, symmetric=False)
WEIGHTS = {
    "w": (3, 4, 1, 1),
    "b": (3,),
    "m": (6, 6),
    "six": np.float32(6),
    "zero": np.float32(0),
    "half": (1,),
}


def graph_of(body: str, out: str = "float[1, A, B, C] y"):
    weights = {name: weight for name, weight in WEIGHTS.items() if f"{name})" in body or f"{name}," in body}
    return build(f"net (float[1, 4, 6, 6] x, float[1, 4, 6, 6] z) => ({out}) {{ {body} }}", **weights).graph


def placed(body: str, target=X86, float_nodes=(), apart=()) -> Placement:
    graph = graph_of(body)
    decisions = Decisions(graph)
    for node in graph:
        if node.name in float_nodes:
            decisions.keep_float(node, "asked for")
    joins = [node for node in graph if node.name in apart]
    return place(graph, target, DEFAULT, {}, decisions, joins)


def test_a_quantizer_for_one_reader_and_for_all():
    (node,) = graph_of("[one] y = Conv (x, w)")
    value, placement = node.inputs[0], Placement()
    placement.read_by(value, ("one", 0), U8)
    placement.read_by(value, ("two", 1), replace(U8, symmetric=True))
    assert placement.reads == {"x": {("one", 0), ("two", 1)}}
    assert placement.schemes == {"x": U8}  # the first counts
    placement.read_by_all(value, U8)
    placement.read_by(value, ("three", 0), U8)
    assert placement.reads == {"x": ALL}


def test_inputs_and_outputs_of_a_convolution():
    found = placed("[one] a = Conv (x, w, b) [cut] y = Relu (a)")
    assert found.reads == {"x": {("one", 0)}, "y": ALL}  # after the Relu
    assert set(found.constants) == {("one", 1)}
    assert found.constants["one", 1].role is Role.WEIGHT
    assert found.bias_weights == {("one", 2): ("one", 1)}
    assert placed("[one] a = Conv (x, w, b) [cut] y = Relu (a)", TENSORRT).reads == {"x": {("one", 0)}}


def test_a_node_in_float_asks_for_nothing():
    found = placed("[one] a = Conv (x, w) [two] y = Add (a, a)", float_nodes=("two",))
    assert found.reads == {"x": {("one", 0)}, "a": ALL}
    none = placed("[one] a = Conv (x, w) [two] y = Add (a, a)", float_nodes=("one", "two"))
    assert (none.reads, none.constants) == ({}, {})


def test_the_constant_of_arithmetic_is_an_operand():
    found = placed("[one] a = Conv (x, w) [two] y = Mul (a, half)")
    assert found.constants["two", 1] == ConstantPlan(role=Role.OPERAND, scheme=X86.activation)
    assert found.reads["a"] is ALL


def test_an_operator_with_a_range_of_its_own_fixes_it():
    assert placed("[one] a = Conv (x, w) [act] y = Sigmoid (a)").fixed_ranges == {"y": (0.0, 1.0)}


def test_a_bias_of_more_than_a_number_a_channel_stays_in_float():
    assert placed("[one] y = MatMul (x, m)").bias_weights == {}
    assert placed("[one] y = Conv (x, w, b)", replace(X86, int32_bias=False)).bias_weights == {}


def test_what_a_transparent_operator_gives_needs_no_quantizer_of_its_own():
    body = "[move] a = MaxPool <kernel_shape = [1, 1]> (x) [one] y = Conv (a, w)"
    assert set(placed(body, OPENVINO).reads) == {"x"}
    assert set(placed(body, X86).reads) == {"x", "a", "y"}


def test_operands_of_a_product_of_activations_have_the_format_of_the_target():
    found = placed("[two] y = MatMul (x, z)", OPENVINO)
    own = OPENVINO.operators["MatMul"].operands
    assert own is not None
    assert found.schemes == {"x": own, "z": own}
    softmax = placed("[soft] s = Softmax (x) [two] y = MatMul (s, z)", OPENVINO, float_nodes=("soft",))
    assert softmax.schemes["z"] == own
    assert softmax.schemes["s"] == OPENVINO.activation  # it starts at zero


def softmax(length: str) -> Placement:
    """Of the quantizer after a Softmax over so many elements."""
    text = f"net (float[1, 4, {length}] x) => (float[1, 4, {length}] y) {{ [soft] y = Softmax (x) }}"
    graph = build(text).graph
    return place(graph, X86, DEFAULT, {}, Decisions(graph), ())


def test_the_range_behind_a_softmax_is_one_that_its_kernel_can_do():
    rule = X86.operators["Softmax"]
    assert rule.overflow is not None
    assert softmax("1").fixed_ranges == {"y": (0.0, 2 * 255 / 256)}
    assert softmax("32").fixed_ranges == {"y": (0.0, 255 / 256)}
    long = softmax("64")
    assert (long.fixed_ranges, long.stretches) == ({}, {"y": Stretch(1.0, 2 * rule.overflow / 64, 255 / 256)})
    open_ended = softmax("N")
    assert (open_ended.fixed_ranges, open_ended.stretches) == (
        {},
        {"y": Stretch(rule.overflow, 0.0, 255 / 256)},
    )


def test_the_scheme_of_activations():
    assert activation_scheme(X86, DEFAULT, None) == U8
    symmetric = DEFAULT.with_settings(["activations.symmetric=true"])
    assert activation_scheme(X86, symmetric, None) == Scheme(qtype=UINT8, symmetric=True)
    assert activation_scheme(TENSORRT, symmetric, None) == TENSORRT.activation
    with pytest.raises(TargetError, match="tensorrt runs symmetric activations only"):
        activation_scheme(TENSORRT, DEFAULT.with_settings(["activations.symmetric=false"]), None)


def test_the_scheme_of_weights():
    (node,) = graph_of("[one] y = Conv (x, w)")
    planned = weight_plan(node, X86, DEFAULT, None)
    assert planned.scheme == Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(0))
    assert planned.packings is None
    assert weight_plan(node, AVX2, DEFAULT, None).packings == AVX2.operators["Conv"].packings
    seven = DEFAULT.with_settings(["weights.bits=7"])
    assert weight_plan(node, AVX2, seven, None).packings is None  # its pair sums fit


def test_a_stretch_stays_between_its_ends():
    stretch = Stretch(2.0, 0.5, 3.0)
    assert [stretch(highest) for highest in (0.1, 1.0, 2.0)] == [0.5, 2.0, 3.0]
