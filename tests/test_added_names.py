"""Whatever adds to a graph finds names that the model does not have.

Each way is gone twice: with a plain model, and with one in which a chain of nodes beside the network has every name
that was added to the plain one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build, feeds_of, run
from tests.models import noise
from tests.quantization.test_ptq import record_for
from tinyint import qat
from tinyint.graph.passes.exact_products import exact_products
from tinyint.graph.passes.opset import upgrade_opset
from tinyint.graph.passes.shapes import ShapesOf
from tinyint.graph.passes.weightless import restore_weights, weightless_proto
from tinyint.graph.prepare import prepare
from tinyint.graph.serde import from_proto
from tinyint.loading.paddle_scales import quantize_again
from tinyint.quantization.calibration.instrument import assumed_shapes, instrument
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target
from tinyint.tasks.tails import Tail, append, argmax_tail, softmax_tail

Names = tuple[set[str], set[str]]
"""Of values and of nodes."""

CHAIN = "tests.chain"


@dataclass
class Way:
    """What adds to a graph, and a graph to which it does; all but the last word of the latter may be renamed."""

    go: Callable[[ir.Model], ir.Model]
    text: str
    opset: int = 17
    weights: Mapping[str, object] = field(default_factory=dict)

    def model(self, taken: Names = (set(), set())) -> ir.Model:
        model = build(self.text, self.opset, **self.weights)  # type: ignore[arg-type]
        graph, source = model.graph, model.graph.inputs[0]
        values, nodes = sorted(taken[0]), sorted(taken[1])
        for i in range(max(len(values), len(nodes))):
            node = ir.node("Sin", [source], name=nodes[i] if i < len(nodes) else f"{CHAIN}/{i}")
            source = node.outputs[0]
            source.name = values[i] if i < len(values) else f"{CHAIN} {i}"
            graph.append(node)
        last = ir.node("Sin", [source], name=CHAIN)
        last.outputs[0].name, last.outputs[0].dtype = CHAIN, graph.inputs[0].dtype
        last.outputs[0].shape = graph.inputs[0].shape
        graph.append(last)
        graph.outputs.append(last.outputs[0])
        return model


def names_of(model: ir.Model) -> Names:
    graphs = [model.graph, *(body for body in model.graph.subgraphs() if body is not model.graph)]
    fed = {v.name for g in graphs for v in (*g.inputs, *g.initializers.values())}
    nodes = list(model.graph.all_nodes())
    return fed | {v.name for n in nodes for v in n.outputs if v.name}, {n.name for n in nodes if n.name}


def repeated(model: ir.Model) -> list[str | None]:
    """Names that two values, or two nodes, have."""
    nodes = list(model.graph.all_nodes())
    bodies = {body for body in model.graph.subgraphs() if body is not model.graph}
    values = [v for n in nodes for v in n.outputs if v.name]
    values += [v for g in (model.graph, *bodies) for v in {*g.inputs, *g.initializers.values()}]
    found = [[v.name for v in values], [n.name for n in nodes if n.name]]
    return [name for names in found for name in names if names.count(name) > 1]


def static(model: ir.Model, target: str = "x86-vnni") -> ir.Model:
    prepared = prepare(model)
    chosen, recipe = get_target(target), Recipe.load("default")
    return quantize_graph(prepared, target=chosen, recipe=recipe, record=record_for(prepared, 2)).model


def trained(model: ir.Model) -> ir.Model:
    settings = qat.QatSettings(batch_norm="trained")
    return qat.export(
        qat.prepare(model, noise(prepare(model), 2), target="x86-vnni", settings=settings).eval()
    )


def observers(model: ir.Model) -> ir.Model:
    prepared = prepare(model)
    return instrument(prepared, shapes=assumed_shapes(ShapesOf(prepared))).model


def without_data(method: str) -> Callable[[ir.Model], ir.Model]:
    def go(model: ir.Model) -> ir.Model:
        recipe = Recipe.load(method)
        return quantize_graph(prepare(model), target=get_target("generic"), recipe=recipe, record=None).model  # type: ignore[arg-type]

    return go


def by_scales(model: ir.Model) -> ir.Model:
    quantize_again(model, {"w": ([0.5, 0.25, 0.5, 0.25], 0)})
    return model


def there_and_back(model: ir.Model) -> ir.Model:
    proto, weights = weightless_proto(model)
    made = from_proto(proto)
    restore_weights(made, weights)
    return made


NET = "g (float[2,3,8,8] x) => (float[2,4,8,8] y) { h = Conv (x, w, b)  r = Relu (h)  y = Conv (r, v) }"
NET_WEIGHTS = {"w": (4, 3, 1, 1), "b": (4,), "v": (4, 4, 1, 1)}
MATRICES = "g (float[3,16] x) => (float[3,16] y) { h = MatMul (x, w)  r = Relu (h)  y = Gemm (r, v, b) }"
MATRIX_WEIGHTS = {"w": (16, 16), "v": (16, 16), "b": (16,)}
NORM = {name: np.full(4, value, np.float32) for name, value in zip("smuv", (2, 1, 0.5, 3), strict=True)}

WAYS = {
    "a bias from a batch norm": Way(
        prepare, "g (float[1,3,4,4] x) => (y) { h = Conv (x, w)  y = BatchNormalization (h, s, m, u, v) }",
        weights={"w": (4, 3, 1, 1), **NORM},
    ),
    "constants of its own": Way(
        prepare, "g (float[2,4] x) => (float[2,4] y) { h = MatMul (x, w)  r = Relu (h)  y = MatMul (r, w) }",
        weights={"w": (4, 4)},
    ),
    "a bias that is split": Way(
        prepare, "g (float[2,4] x) => (float[2,4] y) { h = Gemm (x, w, c)  y = Relu (h) }",
        weights={"w": (4, 4), "c": (2, 4)},
    ),
    "an operator that is unfused": Way(
        prepare, 'g (float[1,3,4,4] x) => (y) { y = com.microsoft.FusedConv <activation = "LeakyRelu"> (x, w) }',
        weights={"w": (4, 3, 1, 1)},
    ),
    "a product that is unfused": Way(
        prepare, "g (float[1,4,4] x) => (y) { t = Transpose <perm=[0,2,1]> (x)"
        " y = com.microsoft.FusedMatMul <alpha = 0.5> (x, t) }",
    ),
    "a deformable convolution": Way(
        prepare, "g (float[1,4,7,6] x) => (float[1,6,5,4] y) { o = Conv (x, k)  y = DeformConv (x, w, o) }",
        opset=19, weights={"w": (6, 4, 3, 3), "k": (18, 4, 3, 3)},
    ),
    "a reduction": Way(
        prepare, "g (float[2,3,4] x) => (float[2,1,4] y) { s = Neg (x)  y = ReduceLogSumExp <axes=[1]> (s) }",
    ),
    "a mean over an image": Way(
        prepare, "g (float[2,3,4,4] x) => (float[2,3] y) { y = ReduceMean <axes=[2,3], keepdims=0> (x) }"
    ),
    "an old operator": Way(
        prepare, "g (float[2,3,4] x) => (float[2,3,4] y) { y = Hardmax (x) }", opset=11,
    ),
    "copies for bodies": Way(
        upgrade_opset, """g (float[2,4,6,6] x) => (float[2,4,6,6] y) {
          l = LogSoftmax <axis = 2> (x)  m = ReduceMax <keepdims = 0> (x)  c = Greater (m, zero)
          y = If (c) <
            then_branch = left () => (float[2,4,6,6] t) { t = Neg (l) },
            else_branch = right () => (float[2,4,6,6] e) { e = Abs (l) }
          > }""", opset=9, weights={"zero": np.float32(0)},
    ),
    "half precision": Way(prepare, "g (float16[2,3] x) => (float16[2,3] y) { h = Exp (x)  y = Abs (h) }"),
    "the tensors of ONNX Runtime": Way(static, NET, weights=NET_WEIGHTS),
    "the tensors of OpenVINO": Way(lambda m: static(m, "openvino-vnni"), NET, weights=NET_WEIGHTS),
    "the tensors of TensorRT": Way(lambda m: static(m, "tensorrt"), NET, weights=NET_WEIGHTS),
    "a pool that is fenced": Way(
        static, "g (float[2,3,8,8] x) => (y) { h = Conv (x, w)"
        " p = AveragePool <kernel_shape=[2,2], dilations=[2,2]> (h)  y = Conv (p, v) }",
        opset=19, weights={"w": (4, 3, 1, 1), "v": (4, 4, 1, 1)},
    ),
    "a bias that a backend needs": Way(
        lambda m: static(m, "openvino-vnni"),
        "g (float[N,3,8,8] x) => (y) { a = Conv (x, w)  l = Conv (a, v)  r = Conv (a, u)  y = Add (l, r) }",
        weights={"w": (4, 3, 1, 1), "v": (4, 4, 1, 1), "u": (4, 4, 1, 1)},
    ),
    "trained batch norms": Way(
        trained, "g (float[1,3,4,4] x) => (float[1,4,4,4] y) { h = Conv (x, w)  a = BatchNormalization (h, s, m, u, v)"
        "  r = Relu (a)  y = Conv (r, k) }", weights={"w": (4, 3, 1, 1), "k": (4, 4, 1, 1), **NORM},
    ),
    "dynamic": Way(without_data("dynamic"), MATRICES, weights=MATRIX_WEIGHTS),
    "exact products": Way(
        lambda m: exact_products(without_data("dynamic")(m)), MATRICES, weights=MATRIX_WEIGHTS
    ),
    "weight-only": Way(without_data("weight_only"), MATRICES, weights=MATRIX_WEIGHTS),
    "observers": Way(observers, NET, weights=NET_WEIGHTS),
    "a tail": Way(
        lambda m: append(append(m, Tail(softmax_tail("y"), "softmax")), Tail(argmax_tail("z"), "argmax")),
        "g (float[N,3] x) => (float[N,3] y, float[N,3] z) { y = Exp (x)  z = Abs (y) }",
    ),
    "scales of another framework": Way(
        by_scales, "g (float[1,3,4,4] x) => (y) { c = Clip (x, lo, hi)  y = Conv (c, w) }",
        weights={"w": (4, 3, 1, 1), "lo": np.float32(-64.0), "hi": np.float32(63.5)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_no_name_of_the_model_is_given_again(name: str) -> None:
    way = WAYS[name]
    plain = way.go(way.model())
    added = tuple(
        after - before for after, before in zip(names_of(plain), names_of(way.model()), strict=True)
    )
    assert any(added), "nothing is added, so that nothing is tested"
    made = way.go(way.model((added[0], added[1])))
    assert repeated(made) == []
    feeds = feeds_of(way.model())
    expected = dict(zip([v.name for v in plain.graph.outputs], run(plain, feeds), strict=True))
    found = dict(zip([v.name for v in made.graph.outputs], run(made, feeds), strict=True))
    for output in [v.name for v in way.model().graph.outputs if v.name in expected and v.name != CHAIN]:
        np.testing.assert_array_equal(found[output], expected[output])


def test_constants_come_back_under_their_names() -> None:
    way = Way(there_and_back, MATRICES, weights={**MATRIX_WEIGHTS, "v": (16, 32), "b": (32,)})
    model = way.model()
    assert names_of(there_and_back(model)) == names_of(model)
