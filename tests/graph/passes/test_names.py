from __future__ import annotations

from tests.graph.build import build
from tinyint.graph.prepare import prepare


def test_nodes_are_named_uniquely_and_keep_the_names_they_have() -> None:
    text = (
        "g (float[2] x) => (float[2] y) { [a] b = Relu(x) [a] c = Neg(b) d = Abs(c) [Abs_0] e = "
        "Exp(d) [a_1] y = Abs(e) }"
    )
    prepared = prepare(build(text))
    assert [node.name for node in prepared.graph] == ["a", "a_2", "Abs_1", "Abs_0", "a_1"]
