"""Which tensors share a scale, on graphs of which every node runs in int8."""

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.graph.names import name_of
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.ties import Ties, cut_of, read_as_one, tie
from tinyint.targets import get_target

X86 = get_target("x86-vnni")
OPENVINO = get_target("openvino-vnni")


def network(body: str):
    known = {
        "w": np.ones((3, 4, 1, 1), np.float32),
        "own": np.ones((2, 2, 1, 1), np.float32),
        "zero": np.float32(0),
        "six": np.float32(6),
    }
    head = "net (float[1, 2, 4, 4] p, float[1, 2, 4, 4] q) => (float[1, 3, 4, 4] y)"
    return build(f"{head} {{ {body} }}", **known).graph


def groups(graph, target=X86, steps=None, float_nodes=()):
    decisions = Decisions(graph)
    for node in graph:
        if node.name in float_nodes:
            decisions.keep_float(node, "asked for")
    ties = tie(graph, target, decisions, None if steps is None else lambda value: steps.get(name_of(value)))
    names = [name_of(v) for v in (*graph.inputs, *(out for node in graph for out in node.outputs))]
    return ties.groups(names), {node.name: factor for node, factor in ties.apart.items()}


JOIN = "[join] j = Concat <axis = 1> (p, q) [last] y = Conv (j, w)"


def test_union_and_find():
    ties = Ties(parent={"a": "b", "b": "c", "c": "c", "d": "d"})
    assert ties.groups("abcd") == {"a": "a", "b": "a", "c": "a", "d": "d"}
    assert ties.groups("dcba") == {"d": "d", "c": "c", "b": "c", "a": "c"}
    assert ties.root("new") == "new"


def test_what_is_moved_shares_the_scale_of_what_it_was():
    graph = network(
        "[move] m = MaxPool <kernel_shape = [1, 1]> (p) [join] j = Concat <axis = 1> (m, q) [c] y = Conv (j, w)"
    )
    assert groups(graph)[0] == {"p": "p", "q": "p", "m": "p", "j": "p", "y": "y"}
    assert groups(graph, float_nodes=("join",))[0] == {"p": "p", "m": "p", "q": "q", "j": "j", "y": "y"}


def test_a_join_ties_what_it_joins():
    assert groups(network(JOIN)) == ({"p": "p", "q": "p", "j": "p", "y": "y"}, {})


@pytest.mark.parametrize("factor", [2.0, 2.5])
def test_a_join_of_unlike_steps_is_apart_where_others_read_a_part(factor):
    graph = network(f"{JOIN[: JOIN.index('[last]')]} [other] o = Relu (p) [last] y = Conv (j, w)")
    steps = {"p": 0.1, "q": 0.1 * factor, "j": 0.1 * factor}
    found, apart = groups(graph, steps=steps)
    assert apart == ({} if factor == 2.0 else {"join": pytest.approx(2.5)})
    assert (found["q"] == found["p"]) == (factor == 2.0)


def test_unlike_steps_do_not_count_where_products_alone_read_the_join():
    steps = {"p": 0.1, "q": 10.0, "j": 10.0}
    assert groups(network(JOIN), steps=steps) == ({"p": "p", "q": "p", "j": "p", "y": "y"}, {})
    gated = network("[join] j = Concat <axis = 1> (p, q) [gate] g = Mul (j, j) [last] y = Conv (g, w)")
    assert groups(gated, steps=steps)[1] == {"join": pytest.approx(100)}
    assert groups(network(JOIN), steps=steps, float_nodes=("last",))[1] == {"join": pytest.approx(100)}


def test_steps_of_what_is_tied_already_count():
    # p and q have like steps, and so have q and r; the chain of them has not.
    graph = build(
        """net (float[1, 2, 4, 4] p, float[1, 2, 4, 4] q, float[1, 2, 4, 4] r) => (float[1, 8, 4, 4] y) {
          [one] j = Concat <axis = 1> (p, q) [two] k = Concat <axis = 1> (q, r)
          [last] l = Mul (k, k) [end] y = Mul (j, j) }"""
    ).graph
    steps = {"p": 0.1, "q": 0.2, "r": 0.3, "j": 0.2, "k": 0.3}
    assert groups(graph, steps=steps)[1] == {"two": pytest.approx(3.0)}
    assert groups(graph, steps=steps | {"r": 0.2, "k": 0.2})[1] == {}


def test_a_clamped_and_a_free_tensor_keep_ranges_of_their_own():
    def shared(also: str) -> bool:
        body = f"[cut] r = Relu (p) {also} [join] j = Concat <axis = 1> (r, s) [last] y = Conv (j, w)"
        found, _ = groups(network(body))
        return found["r"] == found["s"]

    assert not shared("[free] s = Conv (q, own)")
    assert shared("[also] s = Relu (q)")
    assert not shared("[other] s = Clip (q, zero, six)")


def test_where_quantizers_serve_the_readers_of_a_join_all_is_tied():
    cut = "[cut] r = Relu (p) [join] j = Concat <axis = 1> (r, q) [last] y = Conv (j, w)"
    found, _ = groups(network(cut), OPENVINO)
    assert found["r"] == found["q"] == found["j"]


def test_the_cut_of_a_tensor_is_that_of_the_clamp_that_made_it():
    graph = network(
        """[relu] r = Relu (p) [move] m = MaxPool <kernel_shape = [1, 1]> (r) [clip] c = Clip (q, zero, six)
        [join] j = Concat <axis = 1> (m, c) [last] y = Conv (j, w)"""
    )
    values = {name_of(out): out for node in graph for out in node.outputs}
    assert cut_of(values["r"]) == cut_of(values["m"]) == (0.0, float("inf"))
    assert cut_of(values["c"]) == (0.0, 6.0)
    assert cut_of(values["j"]) is None
    assert cut_of(graph.inputs[0]) is None


def test_the_cut_of_a_tensor_is_seen_through_a_reshape():
    text = "net (float[2, 4] p) => (float[4, 2] y) { [relu] r = Relu (p) [move] y = Reshape (r, shape) }"
    graph = build(text, shape=np.array([4, 2])).graph
    assert cut_of(graph[1].outputs[0]) == (0.0, float("inf"))


def test_what_reads_a_join_as_one():
    def asked(body: str, *float_nodes: str) -> bool:
        graph = network(body)
        decisions = Decisions(graph)
        for node in graph:
            if node.name in float_nodes:
                decisions.keep_float(node, "asked for")
        return read_as_one(next(node for node in graph if node.name == "join"), decisions)

    assert asked(JOIN)
    assert not asked(JOIN, "last")
    moved = "[join] j = Concat <axis = 1> (p, q) [move] m = MaxPool <kernel_shape = [1, 1]> (j) [last] y = Conv (m, w)"
    assert asked(moved)
    assert not asked(moved, "last")
    assert not asked("[join] j = Concat <axis = 1> (p, q) [act] a = Sigmoid (j) [last] y = Conv (a, w)")
    assert not asked("[join] y = Concat <axis = 1> (p, q)")
