import numpy as np
import onnx
import onnx.reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import (
    INT7,
    INT8,
    INT16,
    INT32,
    UINT8,
    QParams,
    bias_params,
    dead_channels,
    dequantize,
    fake_quantize,
    fit_bias,
    qparams_from_range,
    quantize,
    sqnr_db,
    unseen_input_scale,
)

finite = st.floats(-1e6, 1e6, width=32)


def test_formats():
    assert (UINT8.bits, INT8.bits, INT8.narrow().bits, INT7.bits, INT16.bits, INT32.bits) == (
        8,
        8,
        8,
        7,
        16,
        32,
    )
    assert (INT8.narrow().qmin, INT8.narrow().qmax) == (-127, 127)
    assert UINT8.narrow() == UINT8


def test_asymmetric_by_hand():
    params = qparams_from_range(-1.0, 4.1, qtype=UINT8, symmetric=False)
    assert params.scale == np.float32(0.02)
    assert params.zero_point == 50
    # 0.03 / 0.02 = 1.5 and 0.05 / 0.02 = 2.5 both round to the even 2
    codes = quantize(np.float32([-9, -1, 0, 0.03, 0.05, 4.1, 9]), params)
    assert codes.tolist() == [0, 0, 50, 52, 52, 255, 255]
    assert codes.dtype == np.uint8
    assert dequantize(codes, params)[3] == np.float32(2) * np.float32(0.02)


def test_symmetric_by_hand():
    params = qparams_from_range(-1.0, 2.54, qtype=INT8.narrow(), symmetric=True)
    assert (params.scale, params.zero_point) == (np.float32(0.02), 0)
    assert quantize(np.float32([-9, -0.01, 0.03, 2.54]), params).tolist() == [-127, 0, 2, 127]


@pytest.mark.parametrize(
    ("lo", "hi", "scale", "zero_point"),
    [(0.0, 5.1, 0.02, 0), (-1.27, 1.0, 0.01, 128)],
    ids=["one-sided keeps all codes", "two-sided is centred"],
)
def test_symmetric_unsigned(lo, hi, scale, zero_point):
    params = qparams_from_range(lo, hi, qtype=UINT8, symmetric=True)
    assert params.scale == pytest.approx(scale)
    assert params.zero_point == zero_point


def test_a_range_is_widened_to_hold_zero():
    params = qparams_from_range(2.0, 5.1, qtype=UINT8, symmetric=False)
    assert params.zero_point == 0
    assert params.range() == (0.0, pytest.approx(5.1))


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_dead_tensor_has_scale_one(symmetric):
    params = qparams_from_range(0.0, 0.0, qtype=INT8, symmetric=symmetric)
    assert params.scale == 1.0
    assert fake_quantize(np.zeros(3, np.float32), params).tolist() == [0, 0, 0]


def test_no_subnormal_scale():
    params = qparams_from_range(0.0, 1e-44, qtype=UINT8, symmetric=False)
    assert params.scale >= np.finfo(np.float32).tiny


def test_per_channel_goes_along_the_axis():
    params = qparams_from_range(
        [0, 0], [1.27, 12.7], qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(1)
    )
    codes = quantize(np.float32([[1.27, 1.27], [0.1, 0.1]]), params)
    assert codes.tolist() == [[127, 13], [10, 1]]


def test_bad_parameters_are_refused():
    with pytest.raises(ValueError, match="> 0"):
        QParams(scale=np.float32(0), zero_point=np.int8(0), qtype=INT8)
    with pytest.raises(ValueError, match="does not go with per tensor"):
        QParams(scale=np.float32([1, 2]), zero_point=np.int8([0, 0]), qtype=INT8)
    with pytest.raises(ValueError, match="finite"):
        qparams_from_range(0.0, np.inf, qtype=UINT8, symmetric=False)


def test_a_bias_that_overflows_raises_the_weight_scale():
    # 1e6 / (1e-3 · 1e-9) = 1e18 is far beyond 2³¹; the other channel is left alone
    scales = fit_bias([1e6, 1.0], 1e-3, np.float32([1e-9, 0.1]))
    assert scales[1] == np.float32(0.1)
    codes = quantize(np.float32([1e6, 1.0]), bias_params(1e-3, scales))
    assert 2**31 * 0.999 < codes[0] < 2**31 - 1
    assert codes[1] == 10000


def test_a_channel_without_weights_takes_the_scale_that_its_bias_needs():
    # at a scale of 1, the biases of both would be multiples of the input's scale, 50: that is, 0
    weight = np.float32([[0, 0], [1, -127], [0, 0]])
    assert dead_channels(weight, 0).tolist() == [True, False, True]
    scales = fit_bias([0.7, 0.7, 0.0], 50.0, np.float32([1, 1, 1]), dead_channels(weight, 0))
    assert scales[1:].tolist() == [1.0, 1.0]
    bias = fake_quantize(np.float32([0.7]), bias_params(50.0, scales[:1]))
    assert bias == pytest.approx([0.7], rel=1e-6)


def test_the_scale_of_an_unseen_input_is_one_that_its_bias_needs():
    # steps of 0.5 / 2¹⁶ with the coarsest of the weight scales: of a bias of 0.5 there are 65,536 then, not 0
    scales = np.float32([2**-3, 1.0])
    assert unseen_input_scale([0.5, -0.25], scales) == 2**-17
    bias = fake_quantize(np.float32([0.5, -0.25]), bias_params(2**-17, scales))
    assert bias.tolist() == [0.5, -0.25]
    assert unseen_input_scale([0.0, 0.0], scales) == 1.0
    assert unseen_input_scale([1e6], np.float32(1e-6)) == 1.0


def test_bias_scale_is_the_float32_product():
    params = bias_params(np.float32(0.1), np.float32([0.3, 0.7]))
    assert params.scale.tolist() == [np.float32(0.1) * np.float32(0.3), np.float32(0.1) * np.float32(0.7)]
    assert params.axis == 0


def test_sqnr():
    assert sqnr_db([3.0, 4.0], [3.0, 4.5]) == pytest.approx(20.0)
    assert sqnr_db([1.0], [1.0]) == np.inf


@given(
    finite,
    finite,
    st.booleans(),
    st.sampled_from([UINT8, INT8, INT8.narrow(), INT7.narrow(), INT16.narrow()]),
)
def test_the_error_is_at_most_half_a_step_inside_the_range(a, b, symmetric, qtype):
    lo, hi = min(a, b), max(a, b)
    params = qparams_from_range(lo, hi, qtype=qtype, symmetric=symmetric)
    low, high = params.range()
    x = np.clip(np.linspace(lo, hi, 101, dtype=np.float32), low, high)
    # float32 division may put a tie on either side
    assert np.abs(fake_quantize(x, params) - x).max() <= 0.5001 * params.scale + 1e-6 * np.abs(x).max()
    assert fake_quantize(np.zeros(1, np.float32), params) == 0.0


@given(
    hnp.arrays(np.float32, 40, elements=finite),
    finite,
    finite,
    st.sampled_from([(UINT8, False), (INT8, False), (INT8.narrow(), True)]),
)
def test_equal_to_the_onnx_operators(x, a, b, form):
    """Bit for bit what the reference implementation of QuantizeLinear makes of it, but for the narrow range."""
    qtype, symmetric = form
    params = qparams_from_range(min(a, b), max(a, b), qtype=qtype, symmetric=symmetric)
    x = x[np.abs(x.astype(np.float64)) < 2**30 * params.scale]  # the reference rounds into int32
    node = onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [len(x)])],
        [
            onnx.helper.make_tensor_value_info(
                "y", onnx.helper.np_dtype_to_tensor_dtype(qtype.dtype), [len(x)]
            )
        ],
        [
            onnx.numpy_helper.from_array(params.scale, "s"),
            onnx.numpy_helper.from_array(params.zero_point, "z"),
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    with np.errstate(all="ignore"):
        expected = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0]
    assert np.array_equal(quantize(x, params), np.clip(expected, qtype.qmin, qtype.qmax))
