"""HardSwish, in the forms that exporters write."""

from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build
from tests.graph.prepared import IMAGE, F, check

GATE = "s = Add (x, three)  c = Clip (s, zero, six)"
NUMBERS = {
    "three": F(3), "zero": F(0), "six": F(6), "sixth": F(1 / 6), "seven": F(7), "two": F([2]), "twelfth": F(1 / 12),
    "deep": np.full((1, 1, 1, 1, 1), 6, F),
}  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        f"{GATE}  p = Mul (x, c)  y = Div (p, six)",
        f"{GATE}  p = Mul (c, x)  y = Mul (sixth, p)",
        f"{GATE}  g = Div (c, six)  y = Mul (x, g)",
        f"{GATE}  g = Mul (c, sixth)  y = Mul (g, x)",
        f"{GATE}  h = Mul (x, two)  g = Mul (c, twelfth)  y = Mul (g, h)",
        "s = Add (three, x)  c = Clip (s, zero, six)  p = Mul (x, c)  y = Div (p, six)",
        "h = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x)  y = Mul (x, h)",
        "h = HardSigmoid <alpha = 0.1666667, beta = 0.5> (x)  y = Mul (h, x)",
    ],
)
def test_forms_of_hard_swish(body: str) -> None:
    check(
        build(f"{IMAGE} {{ {body} }}", 17, **{k: v for k, v in NUMBERS.items() if k in body}), ["HardSwish"]
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{GATE}  y = Mul (x, c)", "Add Clip Mul"),
        (f"{GATE}  p = Mul (x, c)  y = Div (p, seven)", "Add Clip Mul Div"),
        (f"{GATE}  p = Mul (x, c)  y = Div (six, p)", "Add Clip Mul Div"),
        ("s = Add (x, seven)  c = Clip (s, zero, six)  p = Mul (x, c)  y = Div (p, six)", "Add Clip Mul Div"),
        (
            "s = Add (x, three)  c = Clip (s, zero, seven)  p = Mul (x, c)  y = Div (p, six)",
            "Add Clip Mul Div",
        ),
        ("s = Add (x, three)  c = Clip (s, zero, six)  p = Mul (s, c)  y = Div (p, six)", "Add Clip Mul Div"),
        ("h = HardSigmoid (x)  y = Mul (x, h)", "HardSigmoid Mul"),
        # another reads the product before it is divided
        (f"{GATE}  p = Mul (x, c)  q = Div (p, six)  y = Add (p, q)", "Add Clip Mul Div Add"),
    ],
)
def test_what_only_looks_like_it(body: str, expected: str) -> None:
    model = build(f"{IMAGE} {{ {body} }}", 17, **{k: v for k, v in NUMBERS.items() if k in body})
    check(model, expected.split())


def test_a_number_that_adds_a_dimension_is_no_scale() -> None:
    text = f"g (float[2,3] x) => (float[A,B,C,D,E] y) {{ {GATE}  p = Mul (x, c)  y = Div (p, deep) }}"
    model = build(text, 17, **{k: v for k, v in NUMBERS.items() if k in text})
    check(model, ["Add", "Clip", "Mul", "Div"])


def test_a_gate_that_has_other_readers_stays_for_them() -> None:
    body = f"{GATE}  p = Mul (x, c)  h = Div (p, six)  y = Add (h, c)"
    model = build(f"{IMAGE} {{ {body} }}", 17, **{k: v for k, v in NUMBERS.items() if k in body})
    check(model, ["Add", "Clip", "HardSwish", "Add"])
