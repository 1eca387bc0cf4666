"""Models whose own names are those that quantization would give: the same int8 model comes out, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.models import noise
from tests.quantization.test_ptq import record_for
from tinyint.diagnosis.pairs import pair
from tinyint.graph.prepare import prepare
from tinyint.proof.coverage import read_coverage
from tinyint.quantization.ptq import Quantized, quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

# Of values and of nodes, for the plain names of `network`; `then` lies in the body of an If.
TAKEN = [
    {"h": "x_q", "r": "x_dq", "then": "x/scale", "else": "x/zero_point"},
    {"r": "y_float", "s": "y_q", "then": "y/scale"},
    {"w": "x/scale", "g": "x/zero_point", "v": "w_q"},  # as JAX and TensorFlow call a layer's weights
    {"then": "x_q", "else": "h_dq", "h": "w_q", "s": "x_q_1"},
    {"h": "x_1", "r": "x_q", "s": "x_1_q"},
    {"fc": "x/Q", "act": "x/DQ", "last": "w/DQ", "branch": "y/Q"},
    {
        "fc": "last/integer",
        "act": "last/scaled",
        "r": "last/weight_q",
        "h": "x/dynamic_0",
        "branch": "x/dynamic",
    },
    {"r": "tinyint/zero", "h": "tinyint/ReduceMin_1", "s": "tinyint/Reshape_2"},
]


def network(names: Mapping[str, str] | None = None) -> ir.Model:
    model = build(
        """
        net (float[4, 16] x) => (float[4, 16] y) {
          m = ReduceMax <keepdims = 0> (x)
          n = IsNaN (m)
          c = Not (n)
          [fc] h = MatMul (x, w)
          [act] r = Relu (h)
          [norm] s = LayerNormalization (r, g)
          [branch] t = If (c) <
            then_branch = left () => (float[4, 16] then) { then = Neg (s) },
            else_branch = right () => (float[4, 16] else) { else = Abs (s) }
          >
          [last] y = MatMul (t, v)
        }
        """,
        w=(16, 16),
        v=(16, 16),
        g=(16,),
    )
    nodes = list(model.graph.all_nodes())
    bodies = [body for body in model.graph.subgraphs() if body is not model.graph]
    values = {v for node in nodes for v in node.outputs} | {*model.graph.initializers.values()}
    values |= {value for body in bodies for value in body.outputs}
    for item in (*values, *nodes):
        item.name = (names or {}).get(item.name or "", item.name)
    return prepare(model)


def quantized(names: Mapping[str, str] | None, target: str, recipe: str) -> Quantized:
    model = network(names)
    chosen = Recipe.load(recipe)
    return quantize_graph(model, target=get_target(target), recipe=chosen, record=record_for(model))


@pytest.mark.parametrize("names", TAKEN, ids=lambda names: next(iter(names.values())))
@pytest.mark.parametrize(
    ("target", "recipe"),
    [("x86-avx2", "default"), ("openvino", "full"), ("generic", "dynamic"), ("generic", "weight_only")],
)
def test_names_that_are_taken_change_nothing_but_names(
    names: dict[str, str], target: str, recipe: str
) -> None:
    ort = get_runtime("onnxruntime")
    plain, clashing = (quantized(which, target, recipe) for which in (None, names))
    sample = noise(plain.prepared, 1)[0]
    expected, found = (ort.open(q.model, optimize=False).run(sample)["y"] for q in (plain, clashing))
    np.testing.assert_array_equal(found, expected)
    assert read_coverage(clashing, ort).macs_int8 == read_coverage(plain, ort).macs_int8
    ours, theirs = (pair(q.prepared.graph, q.model.graph) for q in (clashing, plain))
    assert ours.unmatched == ()
    assert {a.name for a in ours.activations} == {names.get(a.name, a.name) for a in theirs.activations}
    assert {c.name for c in ours.constants} == {names.get(c.name, c.name) for c in theirs.constants}
