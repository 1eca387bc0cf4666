from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build, feeds_of, run
from tests.graph.prepared import BN, F, check
from tinyint.errors import ModelError
from tinyint.graph.prepare import prepare


@pytest.mark.parametrize("opset", [11, 12, 13, 17, 21])
def test_every_operator_set_from_eleven_on(opset: int) -> None:
    squeeze = "s = Squeeze<axes=[2,3]>(g)" if opset < 13 else "s = Squeeze(g,a)"
    axes = {} if opset < 13 else {"a": np.array([2, 3], np.int64)}
    model = build(
        f"g (float[N,4,6,6] x) => (float[N,2] y) {{ c = Conv(x,w,b) n = "
        f"BatchNormalization(c,scale,shift,mean,var)"
        f" r = Clip(n,zero) g = GlobalAveragePool(r) {squeeze} y = Gemm(s,k) }}",
        opset, w=(4, 4, 3, 3), b=(4,), k=(4, 2), zero=F(0), **axes, **BN,
    )  # fmt: skip
    prepared = check(model, ["Conv", "Relu", "GlobalAveragePool", "Squeeze", "Gemm"])
    assert prepared.opset_imports[""] == max(17, opset)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


NORM = {"s": (4,), "b": (4,), "m": (4,), "v": F([1, 2, 3, 4])}

# (opset, the graph's body, its weights): operators whose form or meaning changed after opset 7
OLD = {
    "batch norm, spatial": (7, "y = BatchNormalization <spatial = 1> (x, s, b, m, v)", NORM),
    "batch norm": (9, "y = BatchNormalization (x, s, b, m, v)", NORM),
    "upsample, attribute": (7, "y = Upsample <scales = [1.0, 1.0, 2.0, 3.0]> (x)", {}),
    "upsample, linear": (7, 'y = Upsample <scales = [1.0, 1.0, 2.0, 2.0], mode = "linear"> (x)', {}),
    "upsample, input": (9, "y = Upsample (x, s)", {"s": F([1, 1, 2, 2])}),
    "upsample, odd": (9, "y = Upsample (x, s)", {"s": F([1, 1, 1.5, 2.5])}),
    "upsample, linear, odd": (9, 'y = Upsample <mode = "linear"> (x, s)', {"s": F([1, 1, 1.5, 2])}),
    "resize": (10, "y = Resize (x, s)", {"s": F([1, 1, 1.5, 2.5])}),
    "resize, down": (10, "y = Resize (x, s)", {"s": F([1, 1, 0.6, 0.34])}),
    "resize, linear": (10, 'y = Resize <mode = "linear"> (x, s)', {"s": F([1, 1, 1.5, 2])}),
    "resize, linear, down": (10, 'y = Resize <mode = "linear"> (x, s)', {"s": F([1, 1, 0.6, 0.34])}),
    "clip": (7, "y = Clip <min = 0.0, max = 1.0> (x)", {}),
    "clip, below": (9, "y = Clip <min = 0.0> (x)", {}),
    "dropout": (7, "a, mask = Dropout <ratio = 0.5> (x)  y = Relu (a)", {}),
    "softmax": (7, "y = Softmax (x)", {}),
    "log softmax": (9, "y = LogSoftmax <axis = 2> (x)", {}),
    "hardmax": (9, "y = Hardmax <axis = 2> (x)", {}),
    "hardmax, default": (12, "y = Hardmax (x)", {}),
    "pad": (9, "y = Pad <pads = [0, 0, 1, 1, 0, 0, 2, 2], value = 0.5> (x)", {}),
    "pad, reflected": (9, 'y = Pad <mode = "reflect", pads = [0, 0, 1, 1, 0, 0, 2, 2], value = 0.0> (x)', {}),
    "slice": (9, "y = Slice <axes = [1, 2], starts = [0, 1], ends = [3, -1]> (x)", {}),
    "top k": (9, "y, z = TopK <k = 2, axis = 1> (x)", {}),
    "squeeze": (9, "a = Unsqueeze <axes = [0, 3]> (x)  y = Squeeze <axes = [0]> (a)", {}),
    "split": (9, "y, z = Split <axis = 1, split = [1, 3]> (x)", {}),
    "sum": (9, "y = ReduceSum <axes = [1, 3], keepdims = 0> (x)", {}),
    "gemm": (7, "f = Flatten (x)  y = Gemm <alpha = 0.5> (f, w, b)", {"w": (144, 5), "b": (5,)}),
    "mean": (8, "a = Max (x, b)  c = Min (a, x)  y = Mean (a, c)", {"b": (4, 1, 1)}),
    "transposed": (7, "y = ConvTranspose <strides = [2, 2]> (x, w)", {"w": (4, 3, 3, 3)}),
    "average": (7, "y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (x)", {}),
    "length": (
        7,
        "s = Shape (x)  g = Gather <axis = 0> (s, i)  u = Unsqueeze <axes = [0]> (g)  c = Concat <axis = 0> (u, m)"
        "  y = Reshape (x, c)",
        {"i": np.array(0), "m": ints(-1)},
    ),
    "recurrent": (
        7,
        "a = Reshape (x, s)  y, h, c = LSTM <hidden_size = 3> (a, w, r, b)",
        {"s": ints(4, 2, 36), "w": (1, 12, 36), "r": (1, 12, 3), "b": (1, 24)},
    ),
    "body that reads what is converted": (
        9,
        """l = LogSoftmax <axis = 2> (x)  m = ReduceMax <keepdims = 0> (x)  c = Greater (m, zero)
        y = If (c) <
          then_branch = left () => (float[2, 4, 6, 6] t) { t = Neg (l) },
          else_branch = right () => (float[2, 4, 6, 6] e) { e = Abs (l) }
        >""",
        {"zero": F(0)},
    ),
    "body": (
        9,
        """m = ReduceMax <keepdims = 0> (x)  c = Greater (m, zero)
        y = If (c) <
          then_branch = left () => (float[2, 4, 6, 6] t) { t = Hardmax <axis = 2> (x) },
          else_branch = right () => (float[2, 4, 6, 6] e) { e = Clip <max = 0.0> (x) }
        >""",
        {"zero": F(0)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_operators_of_old_sets_compute_the_same(name: str) -> None:
    opset, body, weights = OLD[name]
    outputs = "y, z" if "y, z =" in body else "y"
    model = build(f"g (float[2, 4, 6, 6] x) => ({outputs}) {{ {body} }}", opset, **weights)
    feeds = feeds_of(model)
    prepared = prepare(model)
    assert prepared.opset_imports[""] == 17
    for before, after in zip(run(model, feeds), run(prepared, feeds), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-5)


def test_an_image_that_shrinks_along_one_axis_and_grows_along_another_is_refused() -> None:
    model = build("g (float[1,4,6,6] x) => (y) { y = Resize (x, s) }", 10, s=F([1, 1, 0.5, 2]))
    with pytest.raises(ModelError, match=r"'y' resizes by \[1.0, 1.0, 0.5, 2.0\], up and down"):
        prepare(model)


def test_metadata_and_names_survive_the_upgrade() -> None:
    model = build("g (float[N,4] x) => (float[N,4] y) { h = Relu(x)  y = Clip<min = 0.0>(h) }", 9)
    model.metadata_props["tinyint.task"] = "{}"
    prepared = prepare(model)
    assert prepared.metadata_props == {"tinyint.task": "{}"}
    assert [node.outputs[0].name for node in prepared.graph][:1] == ["h"]


def test_what_is_older_than_seven_is_refused() -> None:
    model = build("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }", 6)
    with pytest.raises(ModelError, match="opset 6; opset 7 or later"):
        prepare(model)


def test_other_domains_survive_the_upgrade() -> None:
    model = build(
        "g (float[N,4] x) => (float[N,4] y) { h = com.microsoft.Gelu(x) y = Clip(h,zero) }", 11, zero=F(0)
    )
    prepared = check(model, ["Gelu", "Relu"])
    assert prepared.opset_imports["com.microsoft"] == 1


def test_an_operator_that_cannot_be_converted_is_named() -> None:
    model = build("g (float[N,4] x) => (float[N,4] y) { y = NoSuchOperator(x) }", 11)
    with pytest.raises(ModelError, match=r"opset 11 .*NoSuchOperator"):
        prepare(model)


@pytest.mark.parametrize("size", [24, 600], ids=["small", "large"])
def test_names_that_the_converter_gives_do_not_collide(size: int) -> None:
    """The converter calls the operator that it adds after a Softmax `s_intermediate`."""
    text = (
        "g (float[2,3,{0}] x) => (float[2,3,{0}] y) {{ s = Softmax (x)  s_intermediate_output = Exp (s)"
        "  y = Add (s_intermediate_output, s_intermediate) }}"
    )
    model = build(text.format(size), 11, s_intermediate=(size,))
    prepared, feeds = prepare(model), feeds_of(model)
    np.testing.assert_allclose(run(prepared, feeds)[0], run(model, feeds)[0], atol=1e-5)
    assert "s_intermediate_1" in prepared.graph.initializers
    assert "s_intermediate_output" in {node.outputs[0].name for node in prepared.graph}
