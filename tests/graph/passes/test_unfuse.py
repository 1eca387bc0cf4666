from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build, feeds_of, operators, run
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import is_float32, static_shape, uncounted

CONV = 'y = com.microsoft.FusedConv <activation = "{}"{}> (x, w, b{})'
CASES = {
    "relu": (CONV.format("Relu", "", ""), ["Conv", "Relu"]),
    "leaky": (CONV.format("LeakyRelu", ", activation_params = [0.25]", ""), ["Conv", "LeakyRelu"]),
    "clip": (CONV.format("Clip", ", activation_params = [-1.0, 1.5]", ""), ["Conv", "Clip"]),
    "clip at zero": (CONV.format("Clip", ", activation_params = [0.0, 6.0]", ""), ["Conv", "Clip"]),
    "sum": (CONV.format("Relu", "", ", z"), ["Conv", "Add", "Relu"]),
    "product": ("y = com.microsoft.FusedMatMul <transB = 1, alpha = 0.5> (x, v)", ["MatMul"]),
    "scaled product": (
        "t = Transpose <perm = [0, 1, 3, 2]> (x)  y = com.microsoft.FusedMatMul <alpha = 0.5> (x, t)",
        ["Transpose", "MatMul", "Mul"],
    ),
    "gemm": (
        'f = Flatten (x)  y = com.microsoft.FusedGemm <activation = "LeakyRelu", activation_alpha = 0.25> (f, k, m)',
        ["Flatten", "Gemm", "LeakyRelu"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_parts_compute_the_same(name: str) -> None:
    body, expected = CASES[name]
    weights = {"w": (4, 3, 1, 1), "b": (4,), "z": (4, 6, 6), "v": (5, 6), "k": (108, 5), "m": (5,)}
    used = {key: shape for key, shape in weights.items() if f" {key}," in body or f" {key})" in body}
    if "z" in used:
        used["z"] = (2, 4, 6, 6)
    model = build(f"g (float[2,3,6,6] x) => (y) {{ {body} }}", **used)
    prepared, feeds = prepare(model), feeds_of(model)
    assert operators(prepared) == expected
    np.testing.assert_allclose(run(prepared, feeds)[0], run(model, feeds)[0], rtol=1e-5, atol=1e-5)


def test_types_and_shapes_pass_operators_of_onnx_runtime() -> None:
    model = build(
        """g (float[N,8,64] x) => (float[N,8,64] y) {
          a = MatMul (x, w)
          b = com.microsoft.Gelu (a)
          c = MatMul (b, w)
          d = com.microsoft.SkipLayerNormalization (c, x, g, g)
          e = com.microsoft.BiasGelu (d, g)
          f = com.microsoft.QuickGelu (e)
          y = MatMul (f, w)
        }""",
        w=(64, 64),
        g=(64,),
    )
    prepared = prepare(model)
    values = [node.outputs[0] for node in prepared.graph]
    assert all(is_float32(value) and static_shape(value) == (None, 8, 64) for value in values)
    assert uncounted(prepared) == []


def test_what_is_not_known_stays_unknown() -> None:
    model = build("g (float[2,4] x) => (y) { h = com.microsoft.NoSuch (x)  y = MatMul (h, w) }", w=(4, 4))
    prepared = prepare(model)
    assert [node.name for node in uncounted(prepared)] == ["MatMul_0"]
    assert not is_float32(prepared.graph[0].outputs[0])
