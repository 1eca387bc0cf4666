from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build, feeds_of, operators, run
from tinyint.errors import ModelError
from tinyint.graph.io import model_fingerprint
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import constant_of
from tinyint.runtimes import get_runtime

HALF = np.float16
WEIGHT = np.arange(16).reshape(4, 4).astype(HALF) / 8


def test_half_precision_is_computed_in_float32_between_casts() -> None:
    model = build("g (float16[2,4] x) => (float16[2,4] y) { h = MatMul (x, w)  y = Relu (h) }", w=WEIGHT)
    before, feeds = model_fingerprint(model), feeds_of(model)
    prepared = prepare(model)
    assert operators(prepared) == ["Cast", "MatMul", "Relu", "Cast"]
    assert [value.dtype for value in (*prepared.graph.inputs, *prepared.graph.outputs)] == [
        ir.DataType.FLOAT16
    ] * 2
    assert [value.name for value in (*prepared.graph.inputs, *prepared.graph.outputs)] == ["x", "y"]
    assert prepared.graph[1].outputs[0].dtype == ir.DataType.FLOAT
    np.testing.assert_allclose(run(prepared, feeds)[0], run(model, feeds)[0], rtol=5e-3)
    assert model_fingerprint(model) == before


def test_casts_between_the_precisions_go() -> None:
    model = build(
        "g (float[2,4] x) => (float[2,4] y) { h = Cast <to = 10> (x)  r = MatMul (h, w)  y = Cast <to = 1> (r) }",
        w=WEIGHT,
    )
    assert operators(prepare(model)) == ["MatMul"]


def test_constants_types_and_bodies_are_widened() -> None:
    model = build(
        """g (float16[2,4] x, bool c) => (float16[2,4] y, float16[3] z) {
          n = ConstantOfShape (three)
          z = Relu (n)
          y = If (c) <
            then_branch = left () => (float16[2,4] t) { t = Add (x, one) },
            else_branch = right () => (float16[2,4] e) { k = Cast <to = 10> (c)  e = Mul (x, k) }
          >
        }""",
        three=np.array([3]),
        one=np.ones(1, HALF),
    )
    model.graph[0].attributes["value"] = ir.AttrTensor("value", ir.tensor(np.array([2], HALF)))
    prepared, feeds = prepare(model), feeds_of(model)
    held = {value.dtype for node in prepared.graph.all_nodes() for value in node.outputs if value.dtype}
    assert held == {ir.DataType.FLOAT, ir.DataType.FLOAT16}  # the latter after the last Casts
    for after, expected in zip(run(prepared, feeds), run(model, feeds), strict=True):
        assert after.dtype == HALF
        np.testing.assert_array_equal(after, expected)


def bfloat() -> ir.Model:
    text = "g (bfloat16[2,4] x) => (bfloat16[2,4] y) { h = MatMul (x, w)  y = Relu (h) }"
    return build(text, w=WEIGHT.astype(ml_dtypes.bfloat16))


def test_bfloat16_is_widened_too() -> None:
    prepared = prepare(bfloat())
    assert operators(prepared) == ["Cast", "MatMul", "Relu", "Cast"]
    weight = constant_of(prepared.graph[1].inputs[1])
    assert weight is not None
    assert weight.tolist() == WEIGHT.tolist()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_runtimes_take_and_give_bfloat16_as_float32(runtime: str) -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    for model in (bfloat(), prepare(bfloat())):
        session = get_runtime(runtime).open(model)
        assert [str(spec) for spec in session.inputs] == ["float32 [2, 4]"]
        np.testing.assert_array_equal(session.run({"x": x})["y"], x @ WEIGHT.astype(np.float32))


def test_a_sequence_in_half_precision_is_refused() -> None:
    model = build("g (float16[2] x) => (seq(float16[2]) y) { y = SequenceConstruct (x, x) }")
    with pytest.raises(ModelError, match=r"'y' is Sequence.*FLOAT16"):
        prepare(model)
