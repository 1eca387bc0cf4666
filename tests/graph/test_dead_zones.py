import math

import pytest

from tests.graph.build import build
from tinyint.graph.dead_zones import live_range

NUMBERS = {"three": 3.0, "zero": 0.0, "six": 6.0, "sixth": 1 / 6}


def live(text: str):
    """Of tensor t, which the operators of `text` read; y is the output."""
    graph = build(f"net (float[N,4] x) => (float[N,4] y) {{ t = Abs (x) {text} }}", **NUMBERS).graph
    return live_range(next(v for node in graph for v in node.outputs if v.name == "t"))


SWISHES = {
    "one operator": "y = HardSwish (t)",
    "by a HardSigmoid": "g = HardSigmoid <alpha = 0.16666667, beta = 0.5> (t) y = Mul (t, g)",
    "written out": "a = Add (t, three) c = Clip (a, zero, six) m = Mul (t, c) y = Div (m, six)",
    "divided before the product": "a = Add (three, t) c = Clip (a, zero, six) d = Div (c, six) y = Mul (d, t)",
    "multiplied before the product": "a = Add (t, three) c = Clip (a, zero, six) d = Mul (c, sixth) y = Mul (t, d)",
}


@pytest.mark.parametrize("text", SWISHES.values(), ids=SWISHES)
def test_a_hard_swish_is_zero_up_to_minus_three(text):
    lo, hi = live(text)
    assert lo == pytest.approx(-3, rel=1e-6)
    assert hi == math.inf


def test_a_hard_sigmoid_is_flat_on_both_sides():
    assert live("y = HardSigmoid <alpha = 0.25, beta = 0.5> (t)") == (-2.0, 2.0)
    assert live("y = HardSigmoid <alpha = 0.25, beta = 1.5> (t)") == (
        -6.0,
        0.0,
    )  # holds zero, though flat there


def test_what_all_readers_see_counts():
    both = "a = HardSwish (t) b = HardSigmoid <alpha = 0.125, beta = 0.5> (t) y = Add (a, b)"
    assert live(both) == (-4.0, math.inf)
    assert live("a = Relu (t) b = HardSigmoid (t) y = Add (a, b)") == (-2.5, math.inf)
    assert live("a = HardSwish (t) b = Sigmoid (t) y = Add (a, b)") is None


def test_operators_that_move_values_are_seen_through():
    assert live("r = Transpose <perm = [0, 1]> (t) y = HardSwish (r)") == (-3.0, math.inf)


REST = {
    "an output too": "y = Identity (t)",
    "a gate that is not zero below": "a = Add (t, three) c = Clip (a, three, six) y = Mul (t, c)",
    "a product with another gate": "g = HardSigmoid (x) y = Mul (t, g)",
    "a gate that is read elsewhere": "g = HardSigmoid (t) m = Mul (t, g) s = Add (g, t) y = Add (m, s)",
    "the square": "y = Mul (t, t)",
    "a smooth gate": "g = Sigmoid (t) y = Mul (t, g)",
}


@pytest.mark.parametrize("text", REST.values(), ids=REST)
def test_elsewhere_all_values_count(text):
    assert live(text) is None
