"""GPTQ's rounding: by hand, never worse than the nearest codes, and on planted correlations."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyint.quantization.repair.rounding import compensated, output_errors

ENDS = np.full((1, 1), -127.0), np.full((1, 1), 127.0)


def test_the_second_column_takes_over_the_error_of_the_first():
    # Both inputs are always alike: 0.4 + 0.4 is nearer to 0 + 1 than to 0 + 0.
    weight, gram = np.array([[[0.4, 0.4]]]), np.ones((1, 2, 2))
    assert compensated(weight, np.ones((1, 1)), gram, *ENDS).tolist() == [[[0.0, 1.0]]]
    # Inputs that are opposite cancel as they are; those that have nothing to do with each other keep the nearest.
    for gram in ([[1.0, -1.0], [-1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]):
        assert compensated(weight, np.ones((1, 1)), np.array([gram]), *ENDS).tolist() == [[[0.0, 0.0]]]


def test_scales_and_ends_of_the_codes_hold():
    weight = np.array([[[3.0, 0.2], [0.6, 0.6]]])
    step, lowest, highest = np.array([[0.5, 1.0]]), np.array([[-4.0, 0.0]]), np.array([[4.0, 1.0]])
    codes = compensated(weight, step, np.ones((1, 2, 2)), lowest, highest)
    # 3.0 is clipped to 4 · 0.5, and its error of 1 goes to the neighbour: 1.2 is 2.4 codes. 0.6 + 0.6 is 1 + 0.
    assert codes.tolist() == [[[4.0, 2.0], [1.0, 0.0]]]


def test_what_was_never_seen_is_rounded_to_the_nearest():
    weight = np.array([[[0.4, 0.6, 1.4]]])
    assert compensated(weight, np.ones((1, 1)), np.zeros((1, 3, 3)), *ENDS).tolist() == [[[0.0, 1.0, 1.0]]]


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 70), st.integers(1, 40))
def test_no_output_is_further_off_than_by_the_nearest_codes(seed, blocks, inputs, samples):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((blocks, inputs, samples)) + rng.standard_normal((blocks, inputs, 1))
    weight, step = rng.standard_normal((blocks, 4, inputs)), rng.uniform(0.1, 1, (blocks, 4))
    gram = x @ x.swapaxes(1, 2)
    ends = np.full((blocks, 4), -3.0), np.full((blocks, 4), 3.0)
    codes = compensated(weight, step, gram, *ends)
    nearest = np.clip(np.rint(weight / step[..., None]), -3, 3)
    assert np.array_equal(codes, np.rint(codes))
    assert np.abs(codes).max() <= 3
    ours, theirs = (output_errors(weight / step[..., None] - each, gram) for each in (codes, nearest))
    assert (ours <= theirs).all()


def test_correlated_inputs_gain_much():
    rng = np.random.default_rng(0)
    common = rng.standard_normal((4, 5000))
    x = rng.standard_normal((96, 4)) @ common + 0.1 * rng.standard_normal((96, 5000))
    weight, step, gram = rng.standard_normal((1, 32, 96)), np.full((1, 32), 3 / 127), (x @ x.T)[None]
    codes = compensated(weight, step, gram, np.full((1, 32), -127.0), np.full((1, 32), 127.0))
    exact = weight / step[..., None]
    gain = output_errors(exact - np.rint(exact), gram).sum() / output_errors(exact - codes, gram).sum()
    assert gain > 10  # 10 dB
