from __future__ import annotations

import pytest

from tests.graph.build import build
from tinyint.errors import ModelError
from tinyint.qat import compile_graph


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
