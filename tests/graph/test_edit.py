from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.graph.edit import GraphEditor, unnumbered

ONE = np.ones(1, np.float32)


def branches() -> ir.Model:
    return build(
        """g (bool c, float[2] x, float[2] x_q) => (float[2] y) {
          y = If (c) <
            then_branch = g1 () => (float[2] inside) { inside = Relu (x) },
            else_branch = g2 () => (float[2] other) { other = Neg (x_q) }
          >
        }""",
        w=(2, 2),
    )


def test_a_taken_name_gets_a_number_wherever_it_is_taken() -> None:
    editor = GraphEditor(branches().graph)
    names = [
        editor.constant(name, ONE).name for name in ("w", "x", "inside", "other", "y", "free", "free", "free")
    ]
    assert names == ["w_1", "x_1", "inside_1", "other_1", "y_1", "free", "free_1", "free_2"]


def test_a_stem_is_free_with_all_its_endings() -> None:
    editor = GraphEditor(branches().graph)
    assert editor.stem("x", values=("_q", "_dq")) == "x_1"
    assert editor.stem("x", values=("_q", "_dq")) == "x_2"
    assert editor.constant("x_1_dq", ONE).name == "x_1_dq_1"


def test_a_numbered_stem_is_the_name_of_nothing() -> None:
    model = build("g (float[2] x, float[2] x_1) => (float[2] x_q) { x_q = Add (x, x_1) }")
    assert GraphEditor(model.graph).stem("x", values=("_q",)) == "x_2"


@pytest.mark.parametrize(
    ("name", "original"), [("x_12", "x"), ("x", "x"), ("y_1", "y_1"), ("y", "y"), ("z_1", "z_1"), ("z", "z")]
)
def test_the_number_is_taken_off_where_that_gives_a_known_name(name: str, original: str) -> None:
    assert unnumbered(name, {"x", "y", "y_1"}) == original


def test_an_initializer_takes_the_place_and_the_name_of_an_output() -> None:
    model = build(
        "g (float[2] x) => (float[2] y) { a = Constant <value_floats = [1.0, 2.0]> ()  y = Add (x, a) }"
    )
    constant, add = model.graph
    GraphEditor(model.graph).supplant(constant.outputs[0], np.array([1, 2], np.float32))
    model.graph.remove(constant, safe=True)
    assert add.inputs[1] is model.graph.initializers["a"]


def test_adding_many_constants_costs_no_more_each() -> None:
    model = branches()
    editor = GraphEditor(model.graph)
    editor.graph = _Counting(model.graph)  # type: ignore[assignment]
    names = {editor.constant("w", ONE).name for _ in range(100)}
    assert names == {f"w_{i}" for i in range(1, 101)}
    assert editor.graph.asked == {"register_initializer"}  # type: ignore[attr-defined]


class _Counting:
    """A graph that notes what it is asked for."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph, self.asked = graph, set[str]()

    def __getattr__(self, name: str) -> object:
        self.asked.add(name)
        return getattr(self._graph, name)
