"""Each cause, planted: one tensor, its quantizer, and what the int8 model made of it."""

import numpy as np
import pytest

from tinyint.diagnosis.causes import Cause, TensorSums, explain_activation, explain_constant
from tinyint.diagnosis.pairs import Constant
from tinyint.numbers.granularity import per_axis
from tinyint.numbers.numerics import INT8, INT32, UINT8, QParams, qparams_from_range, quantize

UNIFORM = np.random.default_rng(0).uniform(-1, 1, 20_000).astype(np.float32)


def params(lo: float, hi: float) -> QParams:
    return qparams_from_range(lo, hi, qtype=UINT8, symmetric=False)


def explained(values, quantizer: QParams | None, found=None) -> tuple[Cause, str]:
    """`found`: the float tensor that the int8 model has there; as it is, if not given."""
    sums = TensorSums(params=quantizer)
    found = values if found is None else found
    sums.add(values, found if quantizer is None else quantize(found, quantizer))
    return explain_activation(sums)


def test_a_good_tensor_has_nothing_to_explain():
    assert explained(UNIFORM, params(-1, 1)) == (Cause.FINE, "")
    assert explained(UNIFORM, None) == (Cause.FINE, "")


def test_a_constant_tensor_is_dead():
    assert explained(np.full(100, 0.5, np.float32), params(0, 1)) == (
        Cause.DEAD,
        "constant 0.5 on all samples",
    )


def test_values_beyond_the_range():
    cause, text = explained(UNIFORM, params(-0.5, 0.5))
    assert cause is Cause.RANGE
    assert float(text.split("%")[0]) == pytest.approx(50, abs=1)
    assert "% of the values lie beyond the range [-0.498, 0.502]" in text
    assert text.endswith("they reach [-1, 1]")


def test_few_values_beyond_the_range_that_hold_most_of_the_noise():
    values = np.concatenate([UNIFORM, [60.0]]).astype(np.float32)
    assert explained(values, params(-1, 1))[0] is Cause.RANGE


def test_a_range_that_nothing_needs():
    assert explained(UNIFORM, params(-40, 40)) == (
        Cause.WIDE,
        "the range reaches 40.2, the values only 1",
    )


def test_an_outlier_that_stretches_the_range():
    values = np.concatenate([UNIFORM, [100.0]]).astype(np.float32)
    cause, text = explained(values, params(-1, 100))
    assert cause is Cause.OUTLIER
    assert text.endswith("the largest is 100")


def test_values_too_small_for_the_steps():
    values = np.where(np.arange(20_000) % 333 == 0, UNIFORM, UNIFORM / 100).astype(np.float32)
    cause, text = explained(values, params(-1, 1))
    assert cause is Cause.RESOLUTION
    assert "half of the values are smaller than" in text


def test_codes_that_pile_up_where_float_has_none():
    assert explained(UNIFORM, params(-1.5, 1.5), found=3 * UNIFORM)[0] is Cause.SATURATION


def test_noise_that_comes_in():
    noise = np.random.default_rng(1).normal(0, 0.2, UNIFORM.size).astype(np.float32)
    cause, text = explained(UNIFORM, params(-2, 2), found=UNIFORM + noise)
    assert cause is Cause.ACCUMULATED
    assert "with what comes in" in text
    assert explained(UNIFORM, None, found=UNIFORM + noise) == (
        Cause.ACCUMULATED,
        "no quantizer of its own; what comes in is off",
    )


def test_an_empty_tensor_counts_nothing():
    sums = TensorSums(params=params(0, 1))
    sums.add(np.zeros(0, np.float32), np.zeros(0, np.uint8))
    assert (sums.elements, sums.lo, sums.hi) == (0, np.inf, -np.inf)


def constant(values, bound, kind="weight", codes=None) -> Constant:
    """A weight of rows, or a bias, whose quantizer reaches ±`bound`, one a channel or one for all."""
    values, bound = np.asarray(values, np.float32), np.asarray(bound, np.float64)
    axis = 0 if bound.ndim else None
    known = qparams_from_range(-bound, bound, qtype=INT8.narrow(), symmetric=True, granularity=per_axis(axis))
    return Constant(
        name="w",
        op="Conv",
        kind=kind,
        values=values,
        codes=quantize(values, known) if codes is None else codes,
        params=known,
        axis=0,
        reader="conv",
    )


ROWS = UNIFORM[:2000].reshape(4, 500)


def test_a_good_weight():
    decibel, cause, text = explain_constant(constant(ROWS, np.ones(4)), None)
    assert (cause, text) == (Cause.FINE, "")
    assert decibel == pytest.approx(10 * np.log10(1 / 3 * 12 * 127**2), abs=0.5)  # x² / (step² / 12)


def test_a_channel_that_is_lost_beside_larger_ones():
    rows = ROWS * np.array([[1], [1], [0.01], [1]], np.float32)
    _, cause, text = explain_constant(constant(rows, 1.0), None)
    assert cause is Cause.WIDE
    assert text.startswith("channel 2 has ")
    assert text.endswith("the range reaches 1, its values only 0.00996")


def test_an_outlier_in_a_channel():
    rows = np.repeat(ROWS / 100, 4, axis=1)
    rows[1, 7] = 1.0
    _, cause, text = explain_constant(constant(rows, 1.0), None)
    # One of 2,000 is among the last thousandth; every other channel is wide.
    assert cause in (Cause.OUTLIER, Cause.WIDE)
    _, cause, text = explain_constant(constant(rows[1:2], np.ones(1)), None)
    assert cause is Cause.OUTLIER
    assert text.endswith("the largest is 1")


def test_clipped_weights():
    _, cause, text = explain_constant(constant(ROWS, 0.5), None)
    assert cause is Cause.RANGE
    assert "% of the values are clipped" in text


def test_channels_of_zeros():
    rows = ROWS * np.array([[1], [0], [1], [0]], np.float32)
    _, cause, text = explain_constant(constant(rows, np.ones(4)), None)
    assert (cause, text) == (Cause.DEAD, "2 of 4 channels are zero (1 the first)")


def test_a_bias_that_fills_its_bits_is_named_at_its_weight():
    codes = np.array([5, -INT32.qmax, 7, INT32.qmax], np.int32)
    bias = constant(np.ones(4), 1.0, "bias", codes)
    told = (Cause.BIAS_OVERFLOW, "the bias uses all 32 bits in channel 1, 3")
    assert explain_constant(constant(ROWS, np.ones(4)), bias)[1:] == told
    assert explain_constant(bias, None)[1:] == told
    whole = constant(np.ones(4), 1.0, "bias", codes // 2)
    assert explain_constant(constant(ROWS, np.ones(4)), whole)[1] is Cause.FINE
