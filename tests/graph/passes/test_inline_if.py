from __future__ import annotations

import numpy as np

from tests.graph.build import build
from tests.graph.prepared import check
from tinyint.graph.passes.constants import fold_constants

BRANCHES = """y = If (c) <
  then_branch = left () => (float[2,4] t) { k = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> ()  t = Mul (x, k) },
  else_branch = right () => (float[2,4] e) { r = MatMul (x, w)  e = Relu (r) }
>"""


def test_the_branch_that_is_taken_stands_for_an_if_of_constant_condition() -> None:
    for condition, operators in ((True, ["Mul"]), (False, ["MatMul", "Relu"])):
        model = build(f"g (float[2,4] x) => (float[2,4] y) {{ {BRANCHES} }}", w=(4, 4), c=np.array(condition))
        check(model, operators)


def test_branches_in_branches_and_results_that_are_constants() -> None:
    model = build(
        """g (float[2] x) => (float[2] y, float[2] z) {
          y, z = If (c) <
            then_branch = left () => (float[2] a, float[2] b) {
              a = If (c) <
                then_branch = inner () => (float[2] t) { t = Relu (x) },
                else_branch = other () => (float[2] e) { e = Neg (x) }
              >
              b = Constant <value_floats = [1.0, 2.0]> ()
            },
            else_branch = right () => (float[2] p, float[2] q) { p = Neg (x)  q = Abs (x) }
          >
        }""",
        c=np.array(True),
    )
    check(model, ["Relu", "Constant"])


def test_names_in_the_branch_give_way() -> None:
    model = build(
        """g (float[2] x) => (float[2] y) {
          h = Neg (x)
          m = If (c) <
            then_branch = left () => (float[2] t) { k = Relu (x)  t = Abs (k) },
            else_branch = right () => (float[2] e) { e = Neg (x) }
          >
          k_1 = Mul (m, h)
          y = Add (k_1, h)
        }""",
        c=np.array(True),
    )
    check(model, ["Neg", "Relu", "Abs", "Mul", "Add"])


def test_constants_in_bodies_become_initializers() -> None:
    model = build(f"g (float[2,4] x, bool c) => (float[2,4] y) {{ {BRANCHES} }}", w=(4, 4))
    fold_constants(model)
    body = model.graph[0].attributes["then_branch"].as_graph()
    assert [node.op_type for node in body] == ["Mul"]
    assert list(body.initializers) == ["k"]
