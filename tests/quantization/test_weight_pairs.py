"""Weights under the limit on pairs: exact for any activations, whatever the operator, packing and sharing of scales."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyint.graph.ops import layout_of
from tinyint.numbers.granularity import PerAxis, per_axis
from tinyint.numbers.numerics import INT8, QParams
from tinyint.quantization.weight_pairs import LimitedWeight
from tinyint.targets import Packing
from tinyint.targets.packing import ANY_TWO, pairs_of

KINDS = {
    "Conv": ((6, 5, 3, 3), 0, {}),
    "grouped Conv": ((6, 3, 3, 3), 0, {"group": 2}),
    "Gemm": ((7, 9), 0, {"transB": 1}),
    "Gemm untransposed": ((9, 7), 1, {}),
    "MatMul": ((8, 5), 1, {}),
    "batched MatMul": ((2, 5, 3), None, {}),
    "ConvTranspose": ((5, 4, 2, 2), 1, {}),
    "grouped ConvTranspose": ((6, 4, 2, 2), 1, {"group": 2}),
}


def limited(kind: str, weight: np.ndarray, packings=tuple(Packing), largest_code=255):
    shape, axis, attributes = KINDS[kind]
    node = ir.node(kind.split()[-1] if "untransposed" not in kind else "Gemm", [], attributes)
    others = tuple(i for i in range(len(shape)) if i != axis)
    bound = np.abs(weight).max() if axis is None else np.abs(weight).max(axis=others)
    scale = np.maximum(np.asarray(bound, np.float32), 1e-3) / 127
    params = QParams(
        scale=scale, zero_point=np.zeros_like(scale), qtype=INT8.narrow(), granularity=per_axis(axis)
    )
    return node, LimitedWeight(node, weight, params, packings, largest_code)


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 20.0]))
def test_no_activations_take_a_pair_out_of_16_bits(kind, seed, spread):
    rng = np.random.default_rng(seed)
    weight = (rng.standard_normal(KINDS[kind][0]) * spread + rng.choice([-1, 1])).astype(np.float32)
    node, found = limited(kind, weight)
    codes = found.codes(found.fitted())
    assert codes.shape == weight.shape
    matrix = layout_of(node).matrix(np.ascontiguousarray(codes)).astype(int)
    filters = matrix.reshape(matrix.shape[0] * matrix.shape[1], -1)
    for pairs in pairs_of(tuple(Packing), matrix.shape[2], layout_of(node).kernel_shape(weight.shape)):
        two = filters[:, pairs]
        assert 255 * np.maximum(two, 0).sum(axis=2).max() <= 32_767
        assert 255 * np.minimum(two, 0).sum(axis=2).min() >= -32_768


@pytest.mark.parametrize("kind", KINDS)
def test_weights_within_the_limit_are_rounded_to_nearest(kind):
    weight = np.random.default_rng(0).uniform(-1, 1, KINDS[kind][0]).astype(np.float32)
    _, found = limited(kind, weight, largest_code=100)  # two weights of 127 are within
    params = found.fitted()
    step = (
        params.scale
        if params.axis is None
        else params.scale.reshape([-1 if i == params.axis else 1 for i in range(weight.ndim)])
    )
    np.testing.assert_array_equal(found.codes(params), np.rint(weight / step))


def test_a_packing_that_is_not_known_leaves_seven_bits():
    weight = np.random.default_rng(0).standard_normal(KINDS["Conv"][0]).astype(np.float32)
    _, found = limited("Conv", weight, ANY_TWO)
    assert np.abs(found.codes(found.fitted())).max() == 64


def test_a_depthwise_kernel_keeps_all_codes():
    weight = np.ones((4, 1, 3, 3), np.float32)
    node = ir.node("Conv", [], {"group": 4})
    params = QParams(
        scale=np.full(4, 1 / 127), zero_point=np.zeros(4), qtype=INT8.narrow(), granularity=PerAxis(0)
    )
    found = LimitedWeight(node, weight, params, (Packing.FLAT,))
    assert found.codes(found.fitted()).min() == 127
