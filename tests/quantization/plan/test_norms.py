"""Norms in the forms that exporters write them in: all of a norm is in float, and nothing else is."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.graph.prepare import prepare
from tinyint.quantization.plan import plan
from tinyint.quantization.plan.norms import norms
from tinyint.quantization.recipe import Recipe
from tinyint.targets import TARGETS, get_target

DEFAULT = Recipe.load("default")

# The way from x to n.
FORMS = {
    "rms": "q = Mul (x, x) m = ReduceMean <axes=[-1]> (q) e = Add (m, eps) r = Sqrt (e) n = Div (x, r)",
    "rms by reciprocal, scaled": (
        "q = Pow (x, two) m = ReduceMean <axes=[-1]> (q) e = Add (m, eps) r = Sqrt (e) "
        "i = Reciprocal (r) u = Mul (x, i) n = Mul (u, gamma)"
    ),
    "rms by a power": (
        "q = Mul (x, x) m = ReduceMean <axes=[-1]> (q) e = Add (m, eps) r = Pow (e, minushalf) n = Mul (r, x)"
    ),
    "rms by one over the root": (
        "q = Mul (x, x) m = ReduceMean <axes=[-1]> (q) e = Add (m, eps) r = Sqrt (e) i = Div (one, r) "
        "n = Mul (x, i)"
    ),
    "sum over a count": (
        "q = Mul (x, x) m = ReduceSum (q, axes) d = Mul (m, eps) r = Sqrt (d) n = Div (x, r)"
    ),
    "l2 of torch": (
        "l = ReduceL2 <axes = [-1]> (x) c = Clip (l, eps) s = Shape (x) r = Expand (c, s) n = Div (x, r)"
    ),
    "l2 of tensorflow": (
        "q = Mul (x, x) m = ReduceSum (q, axes) c = Max (m, eps) r = Sqrt (c) i = Reciprocal (r) "
        "n = Mul (x, i)"
    ),
    "sum of squares": ("m = ReduceSumSquare <axes = [-1]> (x) e = Add (m, eps) r = Sqrt (e) n = Div (x, r)"),
    "layer norm": (
        "m = ReduceMean <axes=[-1]> (x) d = Sub (x, m) q = Pow (d, two) v = ReduceMean <axes=[-1]> (q) "
        "e = Add (v, eps) r = Sqrt (e) u = Div (d, r) w = Mul (u, gamma) n = Add (w, beta)"
    ),
    "layer norm by sums over a count": (
        "t = ReduceSum (x, axes) m = Mul (t, eps) d = Sub (x, m) q = Mul (d, d) v = ReduceMean <axes=[-1]> (q) "
        "e = Add (v, eps) r = Sqrt (e) n = Div (d, r)"
    ),
    "layer norm with two differences": (
        "m = ReduceMean <axes=[-1]> (x) d = Sub (x, m) d2 = Sub (x, m) q = Mul (d, d2) "
        "v = ReduceMean <axes=[-1]> (q) e = Add (v, eps) r = Sqrt (e) n = Div (d, r)"
    ),
    "layer norm by moments": (
        "m = ReduceMean <axes=[-1]> (x) q = Mul (x, x) s = ReduceMean <axes=[-1]> (q) mm = Mul (m, m) "
        "v = Sub (s, mm) e = Add (v, eps) r = Sqrt (e) i = Reciprocal (r) d = Sub (x, m) n = Mul (d, i)"
    ),
    "layer norm by moments, as powers": (
        "m = ReduceMean <axes=[-1]> (x) q = Pow (x, two) s = ReduceMean <axes=[-1]> (q) mm = Pow (m, two) "
        "v = Sub (s, mm) e = Add (v, eps) r = Sqrt (e) d = Sub (x, m) n = Div (d, r)"
    ),
}


def around(body: str) -> ir.Model:
    """The norm between a product with weights, an addition that is none of it, and another product."""
    number = np.float32
    return prepare(
        build(
            "net (float[1, 6, 8] given) => (float[1, 6, 8] y) { [first] x = MatMul (given, w1) "
            f"{body} [other] o = Add (n, given) [last] y = MatMul (o, w2) }}",
            w1=(8, 8),
            w2=(8, 8),
            gamma=(8,),
            beta=(8,),
            two=number(2),
            one=number(1),
            minushalf=number(-0.5),
            eps=number(1e-3),
            axes=np.array([-1]),
        )
    )


def inside(model: ir.Model) -> set[str]:
    """The nodes between the two products."""
    outside = {"first", "other", "last"}
    return {node.name or "" for node in model.graph if node.op_type != "Shape"} - outside


@pytest.mark.parametrize("form", FORMS)
def test_every_node_of_a_norm_is_known(form):
    model = around(FORMS[form])
    assert set(norms(model.graph)) == inside(model)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("recipe", ["default", "full"])
def test_a_norm_is_in_float_on_every_target(form, target, recipe):
    model = around(FORMS[form])
    planned = plan(model, get_target(target), Recipe.load(recipe))
    assert not inside(model) & set(planned.int8_nodes)
    assert {"first", "last"} <= set(planned.int8_nodes)


def test_a_square_by_itself_is_in_float_and_what_is_around_it_is_not():
    model = prepare(
        build(
            "net (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) { [first] a = Conv (x, w) [square] q = Mul (a, a) "
            "[mix] m = Mul (q, a) [last] y = Conv (m, w) }",
            w=(2, 2, 1, 1),
        )
    )
    assert norms(model.graph) == {"square": "a square, which needs twice the bits of what is squared"}
    assert "square" in plan(model, get_target("x86-vnni"), DEFAULT).float_nodes


@pytest.mark.parametrize(
    "body",
    [
        "m = ReduceMean <axes=[-1]> (x) n = Div (x, m)",  # no square
        "q = Pow (x, two) m = ReduceMean <axes=[-1]> (q) n = Div (x, m)",  # no root
        "q = Pow (x, two) r = Sqrt (q) n = Div (x, r)",  # no mean
        "m = ReduceMean <axes=[-1]> (x) n = Sub (x, m)",  # centred alone
        "s = Sigmoid (x) n = Mul (x, s)",
    ],
)
def test_what_only_looks_like_a_norm_is_none(body):
    assert not norms(around(body).graph)


@pytest.mark.parametrize("way", ["Cast <to = 1>", "Identity", "Squeeze"])
def test_a_mean_is_known_through_what_only_shapes_it(way):
    text = (
        "net (float[1, 6, 8] x) => (float[1, 6, 8] n) { [mean] m = ReduceMean <axes=[-1]> (x) "
        f"[shaped] c = {way} (m) [less] d = Sub (x, c) [square] q = Mul (d, d) [of] v = ReduceMean <axes=[-1]> (q) "
        "[plus] e = Add (v, eps) [root] r = Sqrt (e) [by] n = Div (d, r) }"
    )
    model = build(text, eps=np.float32(1e-3))
    assert set(norms(model.graph)) == {node.name for node in model.graph}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # what is subtracted is no mean, so that the difference is none of the norm
        (
            "g = Neg (x) d = Sub (x, g) q = Mul (d, d) m = ReduceMean <axes=[-1]> (q) r = Sqrt (m) n = Div (d, r)",
            "qmrn",
        ),
        ("q = Mul (x, x) m = ReduceMean <axes=[-1]> (q) r = Pow (m, two) n = Div (x, r)", "q"),  # no root
    ],
)
def test_what_belongs_to_no_norm_is_left_out(body, expected):
    model = build(
        f"net (float[1, 6, 8] x) => (float[1, 6, 8] n) {{ {body} }}",
        **({"two": np.float32(2)} if "two" in body else {}),
    )
    for node in model.graph:
        node.name = node.outputs[0].name
    assert set(norms(model.graph)) == set(expected)
