"""Decisions on single nodes of small graphs, and their reasons."""

from dataclasses import replace

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.graph.names import name_of
from tinyint.graph.ops import op_names
from tinyint.graph.prepare import prepare
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.nodes import decide, residual_input
from tinyint.quantization.recipe import Recipe, Rule, match_rules
from tinyint.targets import Weightless, get_target

X86, OPENVINO, TENSORRT = (get_target(name) for name in ("x86-vnni", "openvino-vnni", "tensorrt"))
DEFAULT = Recipe.load("default")
ALL_OPERATORS = DEFAULT.model_copy(update={"op_types": "all"})


def network(body: str, inputs: str = "float[1, 4, 6, 6] x", out: str = "float[1, 4, C, D] y"):
    weights = {"w": (4, 4, 1, 1), "v": (4, 4, 1, 1), "shift": np.float32(0.5)}
    return prepare(build(f"net ({inputs}) => ({out}) {{ {body} }}", **weights)).graph


def decided(graph, target=X86, recipe=DEFAULT, held=None) -> Decisions:
    rules = match_rules(recipe, [(name_of(node), op_names(node)) for node in graph])
    return decide(graph, target, recipe, rules, held or {})


def reason(body: str, target=X86, recipe=DEFAULT, held=None, **shapes: str) -> str | None:
    """Why the node `it` stays in float; None if it does not."""
    return decided(network(body, **shapes), target, recipe, held).float_nodes.get("it")


def test_a_rule_of_the_recipe_comes_first():
    recipe = DEFAULT.model_copy(update={"rules": (Rule(name="it", float=True),)})
    assert reason("[it] y = Conv (x, w)", recipe=recipe) == "kept in float, as the recipe asks for it"
    assert reason("[it] y = Conv (x, w)", recipe=recipe, held={"it": "held"}).startswith("kept in float")
    assert reason("[it] y = Conv (x, w)", held={"it": "held"}) == "held"
    assert reason("[it] y = Conv (x, w)") is None


def test_an_operator_without_facts_has_no_int8_form():
    assert reason("[c] a = Conv (x, w) [it] b = Erf (a) [d] y = Conv (b, v)") == "Erf has no int8 form"


def test_an_operator_without_a_rule_of_the_target_stays_in_float():
    body = "[c] a = Conv (x, w) [it] b = Mul (a, a) [d] y = Conv (b, v)"
    assert "Mul" not in TENSORRT.operators
    assert "Mul" in reason(body, TENSORRT)
    assert reason(body) is None


def test_operator_types_that_the_recipe_names():
    body = "[c] a = Conv (x, w) [it] b = GlobalAveragePool (a) [d] y = Conv (b, v)"
    only = DEFAULT.model_copy(update={"op_types": ("Conv",)})
    assert reason(body, recipe=only) == "GlobalAveragePool is not among the operator types of the recipe"
    assert reason(body) is None


def test_a_clamp_whose_bounds_leave_zero_out():
    weights = {"w": (4, 4, 1, 1), "one": np.float32(1), "two": np.float32(2), "zero": np.float32(0)}

    def clamped(low: str) -> str | None:
        head = "net (float[1, 4, 6, 6] x) => (float[1, 4, 6, 6] y)"
        text = f"{head} {{ [c] a = Conv (x, w) [it] y = Clip (a, {low}, two) }}"
        return decided(prepare(build(text, **weights)).graph).float_nodes.get("it")

    assert clamped("one") == "its bounds are not constant, or leave zero out"
    assert clamped("zero") is None


def test_inputs_of_another_type_than_float32():
    text = "net (double[1, 4] x) => (double[1, 3] y) { [it] y = MatMul (x, w) }"
    graph = build(text, w=np.ones((4, 3))).graph
    assert decided(graph).float_nodes["it"] == "its inputs are not float32"
    graph.inputs[0].dtype = None
    assert decided(graph).float_nodes["it"] == "the type of its inputs cannot be inferred"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "(float[1, 4, 6, 6] k) => (float[1, 4, 6, 6] y) { [it] y = Conv (fixed, k2) }",
            "its first input is constant",
        ),
        ("(float[4] x) => (float[3] y) { [it] y = MatMul (x, m) }", "one of its operands is a vector"),
        ("(float[2, 0] x) => (float[2, 3] y) { [it] y = MatMul (x, none) }", "its weights are empty"),
    ],
)
def test_products_that_no_kernel_takes(text, told):
    known = {"fixed": (1, 4, 6, 6), "k2": (4, 4, 1, 1), "m": (4, 3), "none": np.zeros((0, 3), np.float32)}
    graph = build("net " + text, **{name: value for name, value in known.items() if name in text}).graph
    assert decided(graph).float_nodes["it"].startswith(told)


@pytest.mark.parametrize(
    ("weightless", "recipe", "told"),
    [
        (Weightless.PRESET, DEFAULT, None),
        (Weightless.ON_REQUEST, DEFAULT, "a product of two computed tensors, which does not pay"),
        (Weightless.ON_REQUEST, ALL_OPERATORS, None),
        (Weightless.NEVER, ALL_OPERATORS, "its weights are not constant"),
    ],
)
def test_a_product_of_two_computed_tensors(weightless, recipe, told):
    rule = replace(X86.operators["MatMul"], weightless=weightless)
    target = replace(X86, operators={**X86.operators, "MatMul": rule}, left_float={})
    shapes = {"inputs": "float[1, 4, 6, 6] x, float[1, 4, 6, 6] z", "out": "float[1, 4, 6, 6] y"}
    found = reason("[it] y = MatMul (x, z)", target, recipe, **shapes)
    assert found is None if told is None else found.startswith(told)


def test_an_epilogue_goes_with_the_operator_before_it():
    told = "the operator before it runs in float, or others read it"
    assert reason("[c] a = Conv (x, w) [it] y = Relu (a)") is None
    assert reason("[c] a = Conv (x, w) [it] y = Relu (a)", held={"c": "held"}) == told
    shared = (
        "[c] a = Conv (x, w) [it] b = Relu (a) [d] d1 = Conv (a, v) [e] d2 = Conv (b, v) [s] y = Add (d1, d2)"
    )
    assert reason(shared) == told
    for terms in ("b, a", "a, b"):  # a bias, on either side of the product
        added = f"a = MatMul (x, w) [it] y = Add ({terms})"
        shapes = {"w": (4, 4), "b": (4,)}
        graph = prepare(build(f"net (float[1, 3, 4] x) => (float[1, 3, 4] y) {{ {added} }}", **shapes)).graph
        assert "it" not in decided(graph).float_nodes


def test_an_operator_without_weights_is_int8_where_something_quantized_reaches_it():
    pooled = "[it] p = GlobalAveragePool (x) [t] y = Erf (p)"
    assert reason(
        f"{pooled} [c] z = Conv (x, w)", held={"c": "held"}, out="float[1, 4, 1, 1] y, float[1, 4, 6, 6] z"
    )
    assert reason("[c] a = Conv (x, w) [it] p = GlobalAveragePool (a) [d] y = Conv (p, v)") is None


def test_what_moves_values_needs_an_int8_reader():
    moved = "[c] a = Conv (x, w) [it] m = MaxPool <kernel_shape = [2, 2]> (a)"
    assert reason(f"{moved} [d] y = Conv (m, v)") is None
    assert reason(f"{moved} [d] y = Conv (m, v)", held={"d": "held"}) == "no int8 operator reads its output"
    assert reason(f"{moved} [e] y = Erf (m)") == "no int8 operator reads its output"


def test_of_a_residual_add_the_shorter_way_is_the_skip_connection():
    graph = network("[a] p = Conv (x, w) [b] q = Conv (p, v) [one] r = Conv (x, v) [sum] y = Add (q, r)")
    decisions = decided(graph, TENSORRT)
    add = next(node for node in graph if node.name == "sum")
    assert residual_input(add, decisions) == 1
    turned = network("[a] p = Conv (x, w) [b] q = Conv (p, v) [one] r = Conv (x, v) [sum] y = Add (r, q)")
    assert residual_input(next(n for n in turned if n.name == "sum"), decided(turned, TENSORRT)) == 0
    equal = network("[a] p = Conv (x, w) [one] r = Conv (x, v) [sum] y = Add (p, r)")
    assert residual_input(next(n for n in equal if n.name == "sum"), decided(equal, TENSORRT)) == 1


def test_there_is_no_skip_connection_without_an_int8_product():
    graph = network("[a] p = Conv (x, w) [sum] y = Add (p, x)")
    add = next(node for node in graph if node.name == "sum")
    assert residual_input(add, decided(graph, TENSORRT)) == 1
    assert residual_input(add, decided(graph, TENSORRT, held={"a": "held"})) is None
    constant = network("[a] p = Conv (x, w) [r] q = Relu (p) [sum] y = Add (q, shift)")
    add = next(node for node in constant if node.name == "sum")
    assert residual_input(add, decided(constant, TENSORRT)) is None
