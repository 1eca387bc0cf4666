"""Operators whose form changed since opset 13, and those without cases of ONNX, against ONNX Runtime."""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.graph.build import build, feeds_of, run
from tinyint.qat import to_torch

X = "float[2, 3, 4, 5] x"

# (opset, the graph's body; its input is x, its outputs y and, if named, z)
MODELS = {
    "softmax": (13, "y = Softmax <axis = 1> (x)"),
    "softmax flat": (11, "y = Softmax <axis = 1> (x)"),
    "softmax flat, default": (12, "y = Softmax (x)"),
    "log softmax flat": (12, "y = LogSoftmax <axis = 2> (x)"),
    "hardmax flat": (11, "y = Hardmax <axis = 2> (x)"),
    "squeeze, axes attribute": (11, "a = Unsqueeze <axes = [0, 3]> (x) y = Squeeze <axes = [3]> (a)"),
    "squeeze, all": (13, "one = Constant <value_ints = [0, -1]> () a = Unsqueeze (x, one) y = Squeeze (a)"),
    "unsqueeze, negative axes": (13, "at = Constant <value_ints = [-1, 1]> () y = Unsqueeze (x, at)"),
    "split, attribute": (11, "y, z = Split <axis = 3, split = [2, 3]> (x)"),
    "split, input": (13, "n = Constant <value_ints = [1, 4]> () y, z = Split <axis = -1> (x, n)"),
    "split, even": (13, "y, z = Split <axis = 2> (x)"),
    "split, num_outputs": (18, "y, z = Split <axis = 3, num_outputs = 2> (x)"),
    "sum, axes attribute": (11, "y = ReduceSum <axes = [1, -1], keepdims = 0> (x)"),
    "sum, axes input": (13, "a = Constant <value_ints = [1, -1]> () y = ReduceSum <keepdims = 0> (x, a)"),
    "sum, none": (13, "y = ReduceSum <noop_with_empty_axes = 1> (x)"),
    "mean, axes attribute": (13, "y = ReduceMean <axes = [2, 3]> (x)"),
    "mean, axes input": (18, "a = Constant <value_ints = [2, 3]> () y = ReduceMean (x, a)"),
    "max, axes attribute": (13, "y = ReduceMax <axes = [-2], keepdims = 0> (x)"),
    "min, all": (13, "y = ReduceMin (x)"),
    "prod": (13, "y = ReduceProd <axes = [0, 2]> (x)"),
    "L1": (13, "y = ReduceL1 <axes = [3]> (x)"),
    "L2": (13, "y = ReduceL2 <axes = [1, 3], keepdims = 0> (x)"),
    "log sum exp": (13, "y = ReduceLogSumExp <axes = [1]> (x)"),
    "sum of squares": (13, "y = ReduceSumSquare <axes = [1]> (x)"),
    "clip, attributes": (10, "y = Clip <min = -0.5, max = 0.7> (x)"),
    "clip, inputs": (13, "low = Constant <value_float = -0.5> () y = Clip (x, low)"),
    "clip, upper input": (13, "top = Constant <value_float = 0.5> () y = Clip (x, , top)"),
    "clip, computed": (13, "low = ReduceMean <keepdims = 0> (x) y = Clip (x, low)"),
    "dropout": (13, "y = Dropout (x)"),
    "dropout, attribute": (10, "y = Dropout <ratio = 0.4> (x)"),
    "pad, attribute": (10, "y = Pad <pads = [0, 0, 1, 2, 0, 1, 0, 3], value = 1.5> (x)"),
    "pad, reflect": (
        13,
        "n = Constant <value_ints = [0, 0, 1, 2, 0, 0, 2, 3]> () y = Pad <mode = 'reflect'> (x, n)",
    ),
    "pad, edge": (
        13,
        "n = Constant <value_ints = [1, 0, 1, 2, 0, 2, 0, 3]> () y = Pad <mode = 'edge'> (x, n)",
    ),
    "pad, cut": (13, "n = Constant <value_ints = [0, 0, -1, 2, 0, -1, 0, -2]> () y = Pad (x, n)"),
    "batch norm": (9, "y = BatchNormalization (x, v3, v3, v3, p3)"),
    "batch norm, epsilon": (15, "y = BatchNormalization <epsilon = 0.3> (x, v3, v3, v3, p3)"),
    "slice, attributes": (9, "y = Slice <starts = [1, -3], ends = [9, -1], axes = [1, 3]> (x)"),
    "slice, backwards": (
        13,
        "s = Constant <value_ints = [9]> () e = Constant <value_ints = [-9]> () a = Constant <value_ints = [3]> () "
        "t = Constant <value_ints = [-2]> () y = Slice (x, s, e, a, t)",
    ),
    "upsample": (
        9,
        "y = Upsample <mode = 'nearest'> (x, s4)",
    ),
    "upsample, linear": (
        9,
        "y = Upsample <mode = 'linear'> (x, s4)",
    ),
    "top k": (13, "k = Constant <value_ints = [2]> () y, z = TopK <axis = 2, largest = 0> (x, k)"),
    "global Lp pool": (13, "y = GlobalLpPool <p = 3> (x)"),
    "Lp pool": (11, "y = LpPool <kernel_shape = [2, 2], p = 3, pads = [1, 0, 0, 1]> (x)"),
    "average pool, same": (
        11,
        "y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], auto_pad = 'SAME_LOWER'> (x)",
    ),
    "average pool, uneven": (11, "y = AveragePool <kernel_shape = [3, 2], pads = [1, 0, 0, 1]> (x)"),
    "average pool, with pads": (
        11,
        "y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2], count_include_pad = 1> (x)",
    ),
    "max pool, ceil": (12, "y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (x)"),
    "max pool, dilated": (
        12,
        "y = MaxPool <kernel_shape = [2, 2], dilations = [2, 3], pads = [1, 1, 1, 1]> (x)",
    ),
    "max pool, indices": (12, "y, z = MaxPool <kernel_shape = [2, 2], pads = [1, 0, 0, 1]> (x)"),
    "conv, same": (11, "y = Conv <auto_pad = 'SAME_UPPER', strides = [2, 2]> (x, kernel)"),
    "conv, uneven": (11, "y = Conv <pads = [1, 0, 2, 1], dilations = [2, 1]> (x, kernel)"),
    "conv, groups": (11, "y = Conv <group = 3, pads = [1, 1, 1, 1]> (x, deep)"),
    "transposed": (
        11,
        "y = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 0]> (x, kernel)",
    ),
    "transposed, uneven": (11, "y = ConvTranspose <strides = [3, 2], pads = [0, 1, 2, 0]> (x, kernel, v3)"),
    "transposed, shape": (11, "y = ConvTranspose <strides = [2, 2], output_shape = [9, 12]> (x, kernel)"),
    "transposed, same, with gaps": (
        11,
        "y = ConvTranspose <strides = [5, 4], auto_pad = 'SAME_LOWER'> (x, kernel)",
    ),
    "transposed, same": (11, "y = ConvTranspose <strides = [2, 2], auto_pad = 'SAME_LOWER'> (x, kernel)"),
    "flatten": (11, "y = Flatten <axis = -2> (x)"),
    "one hot": (
        11,
        "i = Constant <value_ints = [1, -1, 4]> () d = Constant <value_int = 4> () v = Slice (v3, zero, two) "
        "y = OneHot (i, d, v) z = Relu (x)",
    ),
    "instance norm": (13, "y = InstanceNormalization (x, v3, v3)"),
    "instance norm of one position": (
        13,
        "m = GlobalMaxPool (x)  y = InstanceNormalization (m, v3, v3)",
    ),
    "group norm by group": (18, "y = GroupNormalization <num_groups = 1> (x, v1, v1)"),
    "layer norm": (17, "y, z = LayerNormalization <axis = 3> (x, v5, v5)"),
    "shape chain": (
        13,
        "s = Shape (x) i = Constant <value_ints = [0, 1]> () h = Gather (s, i) m = Constant <value_ints = [-1]> () "
        "t = Concat <axis = 0> (h, m) y = Reshape (x, t)",
    ),
}

WEIGHTS = {
    "kernel": (3, 3, 3, 3),
    "deep": (6, 1, 3, 3),
    "v1": (1,),
    "v3": (3,),
    "v5": (5,),
    "p3": np.array([0.5, 1.0, 2.0], np.float32),
    "s4": np.array([1, 1, 2, 3], np.float32),
    "zero": np.array([0]),
    "two": np.array([2]),
}


def network(name: str) -> ir.Model:
    opset, body = MODELS[name]
    second = re.search(r"\bz = (\w+)", body)
    kind = "int64" if second and second[1] in ("TopK", "MaxPool") else "float"
    outputs = f"float[] y, {kind}[] z" if second else "float[] y"
    words = set(re.findall(r"\w+", body))
    used = {key: value for key, value in WEIGHTS.items() if key in words}
    model = build(f"net ({X}) => ({outputs}) {{ {body} }}".replace("'", '"'), opset, **used)
    for value in model.graph.outputs:
        value.shape = None
    return model


@pytest.mark.parametrize("name", MODELS)
def test_it_computes_what_onnx_runtime_does(name):
    model = network(name)
    feeds = feeds_of(model)
    expected = run(model, feeds)
    with torch.no_grad():
        found = to_torch(model)(torch.from_numpy(feeds["x"]))
    found = found if isinstance(found, tuple) else (found,)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-5)


TRANSFORMS = (
    "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric",
    "tf_half_pixel_for_nn",
)  # fmt: skip
OPSETS = {"half_pixel_symmetric": 19, "tf_half_pixel_for_nn": 11}
# 4 × 1.4 and 5 × 0.5 are no whole sizes; 4 × 1.2 and 5 × 1.1 give the size that was; 4 × 0.3 is one row.
SCALES = [(2.0, 3.0), (0.5, 1.4), (0.6, 1.7), (1.4, 0.5), (1.2, 1.1), (0.3, 0.3)]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("scales", SCALES)
def test_resize_is_that_of_onnx_runtime(mode, transform, scales):
    _require_same_resize(
        f'mode = "{mode}", coordinate_transformation_mode = "{transform}"', transform, scales
    )


@pytest.mark.parametrize("transform", TRANSFORMS[:4])
@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("scales", SCALES)
def test_resize_rounds_in_float32_as_onnx_runtime(nearest, transform, scales):
    _require_same_resize(
        f'nearest_mode = "{nearest}", coordinate_transformation_mode = "{transform}"', transform, scales
    )


def _require_same_resize(attributes, transform, scales):
    regions = {"none": np.zeros(0, np.float32)} if OPSETS.get(transform) == 11 else {}
    body = f"y = Resize <{attributes}> (x, {''.join(regions)}, s)"
    used = {"s": np.array([1, 1, *scales], np.float32), **regions}
    model = build(f"net ({X}) => (float[2, 3, A, B] y) {{ {body} }}", OPSETS.get(transform, 13), **used)
    _require_same(model)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(2.0, 3.0), (1.4, 1.7), (0.5, 0.6), (1.5, 0.5)])
def test_resize_without_a_say_in_how_is_that_of_onnx_runtime(mode, scales):
    """In opset 10 the scales are the second input, and between two pixels the upper one counts where it shrinks."""
    s = np.array([1, 1, *scales], np.float32)
    _require_same(
        build(f'net ({X}) => (float[2, 3, A, B] y) {{ y = Resize <mode = "{mode}"> (x, s) }}', 10, s=s)
    )


def _require_same(model):
    feeds = feeds_of(model)
    (expected,) = run(model, feeds)
    found = to_torch(model)(torch.from_numpy(feeds["x"]))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "pool", ["GlobalLpPool", "GlobalLpPool <p = 3>", "LpPool <kernel_shape = [2]>", "ReduceL2 <axes = [2]>"]
)
def test_the_gradient_of_a_norm_of_zeros_is_zero(pool):
    norm = to_torch(build(f"net (float[1, 2, 2] x) => (float[1, 2, 1] y) {{ y = {pool} (x) }}", 13))
    x = torch.tensor([[[0.0, 0.0], [0.0, 2.0]]], requires_grad=True)
    y = norm(x)
    y.sum().backward()
    torch.testing.assert_close(y.flatten(), torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(x.grad, torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = GlobalLpPool (x)", 50000.0),  # 30000² + 40000² is beyond 65504
        ("y = LpPool <kernel_shape = [1, 1, 2]> (x)", 50000.0),
        ("y = ReduceL2 <axes = [4]> (x)", 50000.0),
        ("y = ReduceLogSum <axes = [4]> (x)", 11.1563),  # log(70000)
        ("y = AveragePool <kernel_shape = [1, 1, 2]> (x)", 35000.0),
        ("y = AveragePool <kernel_shape = [1, 1, 3], pads = [0, 0, 0, 0, 0, 1]> (x)", 35000.0),
        ("a = ReduceMax <axes = [4]> (x)  y = Mean (a, a)", 40000.0),
        ("a = ReduceMax <axes = [4]> (x)  y = LRN <size = 1, alpha = 1.0, beta = 0.5> (a)", 1.0),
    ],
)
def test_halves_do_not_overflow_inside_an_operator(body, expected):
    model = build(f"net (float16[1, 1, 1, 1, 2] x) => (float16[1, 1, 1, 1, 1] y) {{ {body} }}")
    found = to_torch(model)(torch.tensor([30000, 40000.0], dtype=torch.float16).reshape(1, 1, 1, 1, 2))
    assert found.dtype == torch.float16
    assert found.item() == pytest.approx(expected, rel=1e-3)


def test_local_response_of_an_even_size_looks_one_channel_further_ahead():
    model = build("net (float[1, 3, 1] x) => (float[] y) { y = LRN <size = 2, alpha = 2.0, beta = 1.0> (x) }")
    x = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1)
    expected = [1 / (1 + 1 + 4), 2 / (1 + 4 + 16), 4 / (1 + 16)]
    torch.testing.assert_close(to_torch(model)(x).flatten(), torch.tensor(expected))
