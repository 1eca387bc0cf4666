from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.graph.build import build, run
from tinyint.errors import ModelError
from tinyint.qat import compile_graph, to_torch


def test_every_missing_operator_is_named_before_anything_runs():
    model = build(
        """
        net (float[2] x) => (float[2] y) {
          [one] a = Bernoulli (x)
          [two] b = Bernoulli (a)
          [three] y = HannWindow (b)
        }
        """
    )
    with pytest.raises(ModelError, match=r"Bernoulli \(2×, first 'one'\); HannWindow \(1×, first 'three'\)"):
        compile_graph(model.graph)


def test_a_node_that_no_output_depends_on_is_no_step():
    model = build(
        """
        net (float[2] x) => (float[2] y) {
          [kept] y = Relu (x)
          [dead] z = Bernoulli (x)
        }
        """
    )
    assert [step.name for step in compile_graph(model.graph)] == ["kept"]


def test_a_shape_that_is_constant_is_no_input_of_its_step():
    model = build(
        """
        net (float[2, 3] x) => (float[3, 2] y)
        <int64[2] shape = {3, 2}>
        { [flip] y = Reshape (x, shape) }
        """
    )
    (step,) = compile_graph(model.graph)
    assert step.inputs == ("x", None)
    assert step.outputs == ("y",)


# A row: the body from the shape (2, 3, 4) of x, and the type of y.
SHAPE_ARITHMETIC = {
    "join": (
        "h = Gather (s, i0) l = Slice (s, i1, i9) t = Concat <axis = 0> (h, l) u = Mul (t, i1) ",
        [2, 3, 4],
    ),
    "product": ("p = ReduceProd (s) u = Add (p, i1) ", [25]),
    "halves": ("u = Div (s, i2) ", [1, 1, 2]),
    "choice": ("e = Greater (s, i2) u = Where (e, s, i9) ", [9, 3, 4]),
    "scalars": (
        "a = Gather (s, one) b = Unsqueeze (a, i0) c = Squeeze (b, i0) d = Max (c, two) u = Unsqueeze (d, i0)",
        [3],
    ),
    "size of a shape": (
        "n = Size (s) k = Shape (s) m = Cast <to = 7> (n) r = Unsqueeze (m, i0) u = Min (r, k)",
        [3],
    ),
    "nothing": ("h = Slice (s, i1, i1) u = Concat <axis = 0> (h, i2) ", [2]),
    "backwards": ("u = Slice (s, i9, i0, i0, back) ", [4, 3]),
}


@pytest.mark.parametrize("name", SHAPE_ARITHMETIC)
def test_what_comes_from_shapes_is_computed_in_numbers(name):
    body, expected = SHAPE_ARITHMETIC[name]
    numbers = {f"i{n}": np.array([n]) for n in (0, 1, 2, 9)}
    numbers |= {"one": np.array(1), "two": np.array(2), "back": np.array([-1])}
    used = {
        key: value
        for key, value in numbers.items()
        if key in body.replace(",", " ").replace(")", " ").split()
    }
    used |= {key: value for key, value in numbers.items() if f"({key}" in body}
    model = build(
        f"net (float[2, 3, 4] x) => (float[] y, int64[K] z) {{ s = Shape (x) {body} z = Identity (u) "
        "y = ConstantOfShape (u) }",
        **used,
    )
    model.graph.outputs[0].shape = None
    x = torch.zeros(2, 3, 4)
    y, z = to_torch(model)(x)
    assert z.tolist() == expected
    assert z.dtype == torch.int64
    assert list(y.shape) == expected
    assert list(y.shape) == list(run(model, {"x": x.numpy()})[0].shape)


def test_numbers_become_tensors_where_they_meet_tensors():
    model = build(
        """
        net (float[N, 3] x) => (float[N, 3] y)
        { s = Shape (x)  f = Cast <to = 1> (s)  t = ReduceProd <keepdims = 0> (f)  y = Div (x, t) }
        """
    )
    y = to_torch(model)(torch.full((4, 3), 24.0))
    assert y.tolist() == [[2.0] * 3] * 4
