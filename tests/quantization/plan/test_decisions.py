import pytest

from tests.graph.build import build
from tinyint.quantization.plan.decisions import Decisions

GRAPH = build(
    "net (float[1, 4] x) => (float[1, 4] y) { [a] t = Relu (x) [b] u = Neg (t) [c] y = Abs (u) }"
).graph


def test_a_node_runs_in_int8_until_there_is_a_reason():
    decisions = Decisions(GRAPH)
    a, b, c = GRAPH
    decisions.keep_float(b, "first")
    decisions.keep_float(b, "second")
    assert [decisions.runs_int8(node) for node in (a, b, c)] == [True, False, True]
    assert decisions.int8_nodes == ("a", "c")
    assert decisions.float_nodes == {"b": "first"}
    assert decisions.why_float(b) == "first"
    with pytest.raises(KeyError, match="a"):
        decisions.why_float(a)


def test_a_node_of_another_graph_runs_in_float():
    other = build("net (float[1, 4] x) => (float[1, 4] y) { [elsewhere] y = Relu (x) }").graph
    assert not Decisions(GRAPH).runs_int8(other[0])


def test_reasons_stand_in_graph_order():
    decisions = Decisions(GRAPH)
    for node in reversed(GRAPH):
        decisions.keep_float(node, "asked for")
    assert list(decisions.float_nodes) == ["a", "b", "c"]
    assert decisions.int8_nodes == ()
