"""Gathers that OpenVINO takes for ones of dequantized data get a fence, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

import tinyint
from tests.graph.build import build
from tinyint.graph.prepare import prepare
from tinyint.quantization.plan import plan
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

MATRIX, VECTOR = np.int64([[0, 1], [1, 0]]), np.int64([1, 0])
MANY, ONE = np.linspace(0.5, 2, 8, dtype=np.float32).reshape(1, 8, 1, 1), np.float32(2)


def model(nodes: str, indices: np.ndarray = MATRIX, constant: np.ndarray = MANY):
    """A float y by `nodes`, of an input c, beside a convolution of x."""
    also = ", int64[2,2] j" if ",j)" in nodes else ""
    text = f"""g (float[1,16,4,1] x, float[1,8,4,2] c{also}) => (float[] y, float[] z)
        {{ [conv] z = Conv(x,w) {nodes} }}"""
    used = {"i": indices} if ",i)" in nodes else {}
    return build(text, w=(8, 16, 4, 1), o=constant, **used)


@pytest.mark.parametrize(
    ("nodes", "fenced"),
    [
        ("k = Sub(o,c) [pick] y = Gather<axis=3>(k,i)", True),
        ("k = Sub(o,c) [pick] y = Gather<axis=3>(k,j)", True),
        ("k = Mul(c,o) [pick] y = Gather<axis=3>(k,i)", True),
        ("k = Div(c,o) [pick] y = Gather<axis=3>(k,i)", True),
        ("k = Mul(c,o) s = Add(k,o) t = Transpose<perm=[0,1,3,2]>(s) [pick] y = Gather<axis=3>(t,i)", True),
        ("k = Sub(c,o) [pick] y = Gather<axis=3>(k,i)", False),
        ("k = Add(c,o) [pick] y = Gather<axis=3>(k,i)", False),
        ("k = Mul(c,o) t = Tanh(k) [pick] y = Gather<axis=3>(t,i)", False),
        ("k = Mul(c,c) s = Add(k,o) [pick] y = Gather<axis=3>(s,i)", False),
        ("k = Mul(c,o) [pick] y = Transpose<perm=[0,1,3,2]>(k)", False),
    ],
)
def test_which_gathers_are_fenced(nodes: str, fenced: bool) -> None:
    graph = prepare(model(nodes))
    for target in ("openvino-vnni", "openvino-avx2"):
        found = plan(graph, get_target(target), Recipe.load("default"))
        assert found.fenced == ({"pick"} if fenced else set())
        assert found.int8_nodes == ("conv",)
    assert plan(graph, get_target("x86-vnni"), Recipe.load("default")).fenced == set()


@pytest.mark.parametrize(("indices", "constant"), [(VECTOR, MANY), (MATRIX, ONE)])
def test_not_those_by_a_vector_nor_after_a_single_number(indices: np.ndarray, constant: np.ndarray) -> None:
    graph = prepare(model("k = Mul(c,o) [pick] y = Gather<axis=3>(k,i)", indices, constant))
    assert plan(graph, get_target("openvino-vnni"), Recipe.load("default")).fenced == set()


@pytest.mark.parametrize(
    "nodes", ["[pick] y = Gather<axis=3>(z,i)", "t = Flatten(z) [pick] y = Gather<axis=1>(t,i)"]
)
@pytest.mark.parametrize("indices", [VECTOR, np.int64(1)])
def test_all_that_read_an_int8_product(nodes: str, indices: np.ndarray) -> None:
    text = f"g (float[1,16,4,2] x) => (float[] y, float[] z) {{ [conv] z = Conv(x,w) {nodes} }}"
    graph = prepare(build(text, w=(8, 16, 1, 1), i=indices))
    assert plan(graph, get_target("openvino-vnni"), Recipe.load("default")).fenced == {"pick"}
    assert plan(graph, get_target("x86-vnni"), Recipe.load("default")).fenced == set()


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("indices", [VECTOR, MATRIX, np.int64(1)])
def test_rows_of_a_product_come_out_in_shape(granularity: str, indices: np.ndarray) -> None:
    given = build(
        "g (float[3,16] x) => (float[] y) { k = MatMul(x,w) y = Gather<axis=0>(k,i) }", w=(16, 4), i=indices
    )
    rng = np.random.default_rng(0)
    samples = [{"x": rng.normal(size=(3, 16)).astype(np.float32)} for _ in range(8)]
    recipe = {"weights": {"granularity": granularity}}
    result = tinyint.quantize(given, samples, target="openvino", recipe=recipe)
    found, expected = (get_runtime("openvino").open(m).run(samples[0])["y"] for m in (result.model, given))
    assert found.shape == expected.shape == (*np.shape(indices), 4)
    np.testing.assert_allclose(found, expected, atol=0.2)


@pytest.mark.parametrize("arithmetic", ["Sub(o,c)", "Mul(o,c)"])
@pytest.mark.parametrize("target", ["openvino-vnni", "openvino-avx2"])
def test_the_convolution_beside_it_runs_in_int8_on_openvino(arithmetic: str, target: str) -> None:
    given = model(f"k = {arithmetic} [pick] y = Gather<axis=3>(k,i)")
    rng = np.random.default_rng(0)
    shapes = {"x": (1, 16, 4, 1), "c": (1, 8, 4, 2)}
    samples = [
        {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(8)
    ]
    result = tinyint.quantize(given, samples, target=target)
    assert "conv" not in {node.name for node in result.report.coverage.float_nodes}
    found = get_runtime("openvino").open(result.model).run(samples[0])
    c = samples[0]["c"]
    expected = (MANY - c if "Sub" in arithmetic else MANY * c)[..., MATRIX]
    np.testing.assert_allclose(found["y"], expected, rtol=1e-5)
