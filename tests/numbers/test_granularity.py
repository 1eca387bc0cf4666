import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.build import build
from tinyint.numbers.granularity import PER_TENSOR, PerAxis, PerBlock, per_axis, rows, scales_of, spread
from tinyint.numbers.numerics import Constant, QParams, dequantize, qparams_from_range, quantize
from tinyint.numbers.scheme import WEIGHT_FORMATS, Scheme
from tinyint.quantization.qdq import quantize_constants
from tinyint.quantization.ranges import weight_range
from tinyint.runtimes import get_runtime

TENSOR = np.arange(10).reshape(2, 5)


def test_what_shares_a_scale_by_hand():
    assert rows(TENSOR, PER_TENSOR).tolist() == [list(range(10))]
    assert rows(TENSOR, PerAxis(1)).tolist() == [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]]
    # the last block of a row is filled up with a zero
    assert rows(TENSOR, PerBlock(1, 3)).tolist() == [[0, 1, 2], [3, 4, 0], [5, 6, 7], [8, 9, 0]]
    assert rows(TENSOR, PerBlock(0, 2)).tolist() == [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]]


def test_scales_over_a_tensor_by_hand():
    assert spread(np.array([1, 2]), PerAxis(0), (2, 5)).tolist() == [[1], [2]]
    blocks = np.array([[1, 2], [3, 4]])
    assert spread(blocks, PerBlock(1, 3), (2, 5)).tolist() == [[1, 1, 1, 2, 2], [3, 3, 3, 4, 4]]


@pytest.mark.parametrize("granularity", [PER_TENSOR, PerAxis(0), PerAxis(2), PerBlock(0, 2), PerBlock(2, 3)])
@given(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 7)))
def test_each_row_meets_its_own_scale(granularity, shape):
    tensor = np.random.default_rng(0).normal(size=shape)
    most = scales_of(np.abs(rows(tensor, granularity)).max(axis=1), granularity, shape)
    over = np.broadcast_to(spread(most, granularity, shape), shape)
    assert (np.abs(tensor) <= over).all()
    assert np.isclose(np.abs(tensor) / over, 1).sum() == most.size  # one element in each row is the largest


def test_scales_of_another_shape_are_refused():
    for granularity, scale in ((PER_TENSOR, [1.0]), (PerAxis(0), 1.0), (PerBlock(1, 4), [1.0])):
        with pytest.raises(ValueError, match=r"scale of shape .* does not go with per "):
            QParams(scale=scale, zero_point=0, qtype=WEIGHT_FORMATS[8], granularity=granularity)
    with pytest.raises(ValueError, match="per block of 4, axis 1 are not those of an axis"):
        _ = Scheme(qtype=WEIGHT_FORMATS[4], symmetric=True, granularity=PerBlock(1, 4)).axis
    assert (per_axis(None), per_axis(1)) == (PER_TENSOR, PerAxis(1))


def test_four_bits_by_hand():
    # 14 of 7 codes: a scale of 2; halves go to the even code
    params = qparams_from_range(-14, 7, qtype=WEIGHT_FORMATS[4], symmetric=True)
    assert params.scale == 2
    codes = quantize([-14, -30, 3, 5, 13], params)
    assert codes.dtype.name == "int4"
    assert codes.astype(int).tolist() == [-7, -7, 2, 2, 6]
    assert dequantize(codes, params).tolist() == [-14, -14, 4, 4, 12]
    assert WEIGHT_FORMATS[4].bits == 4
    assert str(Scheme(qtype=WEIGHT_FORMATS[4], symmetric=True, granularity=PerBlock(0, 32))) == (
        "int4 [-7, 7] symmetric per block of 32, axis 0"
    )


@pytest.mark.parametrize("method", ["absmax", "mse"])
@pytest.mark.parametrize("size", [16, 24])
def test_blocks_of_four_bits_run_as_they_are_simulated(method, size):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(64, 8)).astype(np.float32)
    weight[:, ::2] *= 20
    weight[:16] *= 30
    model = build("g (float[N, 64] x) => (float[N, 8] y) { [node] y = MatMul (x, w) }", w=weight)
    model.opset_imports[""], model.ir_version = 21, 10
    errors = {}
    for granularity in (PerAxis(1), PerBlock(0, size)):
        scheme = Scheme(qtype=WEIGHT_FORMATS[4], symmetric=True, granularity=granularity)
        lo, hi = weight_range(weight, method, scheme)
        params = qparams_from_range(lo, hi, qtype=scheme.qtype, symmetric=True, granularity=granularity)
        made = model.clone()
        quantize_constants(made.graph, {("node", 1): Constant(params=params)})
        onnx.checker.check_model(ir.to_proto(made), full_check=True)
        x = rng.normal(size=(3, 64)).astype(np.float32)
        stored = dequantize(quantize(weight, params), params)
        # optimized, ONNX Runtime 1.31 makes a MatMulNBits of it, which rounds x to 8 bits
        found = get_runtime("onnxruntime").open(made, threads=1, optimize=False).run({"x": x})["y"]
        np.testing.assert_allclose(found, x @ stored, rtol=1e-4, atol=1e-3)
        errors[granularity] = np.square((stored - weight) / np.abs(weight).mean(axis=1, keepdims=True)).mean()
    assert errors[PerBlock(0, size)] < errors[PerAxis(1)] / 3
