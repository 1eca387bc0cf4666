"""Products of computed tensors, and the quantizers that hold their operands."""

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.graph.names import name_of
from tinyint.quantization.plan.products import (
    held_apart,
    holders,
    is_particular,
    is_product,
    moves,
    read_by_products,
    sources,
    starts_at_zero,
)
from tinyint.targets import get_target

OPENVINO, X86 = get_target("openvino-vnni"), get_target("x86-vnni")


def network(body: str):
    head = "net (float[1, 4, 4] p, float[1, 4, 4] q) => (float[1, 4, 4] y)"
    return build(
        f"{head} {{ {body} }}", w=(4, 4), low=np.float32(-1), zero=np.float32(0), six=np.float32(6)
    ).graph


def named(graph):
    return {node.name: node for node in graph}


def names(values) -> list[str]:
    return [name_of(value) for value in values]


def never(node) -> bool:
    return False


def test_a_product_is_one_of_two_computed_matrices():
    nodes = named(network("[own] a = MatMul (p, w) [two] b = MatMul (a, q) [sum] y = Add (b, q)"))
    assert [is_product(nodes[name]) for name in ("own", "two", "sum")] == [False, True, False]


def test_products_of_activations_are_particular_to_openvino():
    nodes = named(network("[own] a = MatMul (p, w) [two] y = MatMul (a, q)"))
    rule = OPENVINO.operators["MatMul"]
    assert rule.operands is not None
    assert [is_particular(nodes[name], rule) for name in ("own", "two")] == [False, True]
    assert not is_particular(nodes["two"], X86.operators["MatMul"])


def test_what_moves_values_serves_its_readers_where_the_target_lets_it():
    nodes = named(network("[move] t = Transpose <perm = [0, 2, 1]> (p) [two] y = MatMul (t, q)"))
    assert moves(nodes["move"], OPENVINO)
    assert not moves(nodes["two"], OPENVINO)
    assert not moves(nodes["move"], X86)


def test_the_sources_of_a_tensor_are_seen_through_what_passes():
    graph = network(
        "[join] j = Concat <axis = 1> (p, q) [move] t = Transpose <perm = [0, 2, 1]> (j) [sum] y = Add (t, p)"
    )
    value = named(graph)["move"].outputs[0]
    assert names(sources(value, lambda node: node.op_type in ("Transpose", "Concat"))) == ["p", "q"]
    assert names(sources(value, lambda node: node.op_type == "Transpose")) == ["j"]
    assert names(sources(value, never)) == ["t"]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("Relu (p)", True),
        ("Clip (p, zero, six)", True),
        ("Clip (p, low, six)", False),
        ("Sigmoid (p)", True),
        ("Softmax (p)", True),
        ("Tanh (p)", False),
        ("Add (p, q)", False),
    ],
)
def test_what_starts_at_zero(made, expected):
    graph = network(f"[made] m = {made} [two] y = MatMul (m, q)")
    assert starts_at_zero(named(graph)["made"].outputs[0]) is expected
    assert not starts_at_zero(graph.inputs[0])


def test_a_first_operand_that_starts_at_zero_needs_no_holder():
    def held(body: str) -> list[str]:
        return names(holders(named(network(body))["two"], never))

    assert held("[two] y = MatMul (p, q)") == ["p", "q"]
    assert held("[soft] s = Softmax (p) [two] y = MatMul (s, q)") == ["q"]
    assert held("[soft] s = Softmax (q) [two] y = MatMul (p, s)") == ["p", "s"]
    assert held("[two] y = MatMul (p, w)") == ["p"]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ("", True),
        ("[more] z = MatMul (q, w)", True),
        ("[add] z = Add (q, q)", False),
        ("[any] z = Erf (q)", True),
    ],
)
def test_operands_are_held_apart_where_products_alone_read_them(others, expected):
    graph = network(f"[two] y = MatMul (p, q) {others}")
    assert held_apart(named(graph)["two"], OPENVINO) is expected
    assert read_by_products(graph.inputs[1], OPENVINO) is expected


def test_readers_behind_what_moves_values_count():
    product = network("[move] t = Transpose <perm = [0, 2, 1]> (q) [two] y = MatMul (p, t)")
    assert read_by_products(product.inputs[1], OPENVINO)
    added = network(
        "[move] t = Transpose <perm = [0, 2, 1]> (q) [two] a = MatMul (p, t) [sum] y = Add (a, t)"
    )
    assert not read_by_products(added.inputs[1], OPENVINO)
