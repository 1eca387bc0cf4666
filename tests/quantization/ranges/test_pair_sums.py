"""Weights whose pair sums fit into 16 bits: by hand, the nearest by exhaustion, and less error than 7 bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinyint.quantization.ranges.pair_sums import PairLimit, fit_ratio, limit_codes, pair_limit

NEIGHBOURS = PairLimit(pairs=(np.array([[0, 1]]),), limit=128, largest=127)
GRID = np.stack(np.meshgrid(np.arange(-127, 128), np.arange(-127, 128), indexing="ij"), axis=-1).reshape(
    -1, 2
)
ALLOWED = GRID[(np.abs(GRID.sum(axis=1)) <= 128) | (GRID.prod(axis=1) <= 0)]


def limited(*values: float, bound: PairLimit = NEIGHBOURS) -> list[float]:
    return limit_codes(np.array([values], np.float32), bound)[0].tolist()


def test_the_limit_is_what_16_bits_hold():
    assert pair_limit() == 128  # 255 · 128 = 32,640; 255 · 129 = 32,895 > 32,767
    assert pair_limit(254) == 129
    assert pair_limit(127) == 258  # two weights of 127 never reach it
    assert pair_limit(0) == 32_767


@pytest.mark.parametrize(
    ("weights", "codes"),
    [
        ((127.0, 127.0), [64, 64]),
        ((-127.0, -127.0), [-64, -64]),
        ((127.0, -127.0), [127, -127]),  # of unlike signs
        ((100.0, 28.0), [100, 28]),  # at the limit
        ((100.0, 29.0), [100, 28]),  # 99.5 is a tie, to the even one
        ((101.0, 28.0), [100, 28]),
        ((-120.0, -10.0), [-119, -9]),
        ((127.0, 3.0), [126, 2]),
        ((60.4, -3.2), [60, -3]),
        ((300.0, 2.0), [127, 1]),  # beyond the range of the codes
    ],
)
def test_pairs_by_hand(weights, codes):
    assert limited(*weights) == codes


@given(arrays.arrays(np.float32, (1, 2), elements=st.floats(-130, 130, width=32)))
def test_no_allowed_codes_are_nearer(x):
    (codes,) = limit_codes(x, NEIGHBOURS)
    assert any((codes == ALLOWED).all(axis=1))
    exact = x.astype(np.float64)
    nearest = np.square(ALLOWED - exact).sum(axis=1).min()
    assert np.square(codes - exact).sum() <= nearest + 1e-3


OVERLAPPING = PairLimit(
    pairs=(np.array([[0, 1], [2, 3]]), np.array([[1, 2], [3, 4]]), np.array([[0, 4]])), limit=128, largest=127
)


@given(arrays.arrays(np.float32, (3, 5), elements=st.floats(-200, 200, width=32)))
def test_pairs_of_several_packings_all_keep_to_the_limit(x):
    codes = limit_codes(x, OVERLAPPING)
    for pairs in OVERLAPPING.pairs:
        assert np.abs(codes[:, pairs].sum(axis=2)).max() <= 128
    assert (np.abs(codes) <= np.abs(np.clip(np.rint(x), -127, 127))).all()  # codes only shrink


def test_where_any_two_may_meet_codes_stop_at_half_the_limit():
    bound = PairLimit(pairs=(), limit=128, largest=64)
    assert limited(127.0, -70.0, 3.0, bound=bound) == [64, -64, 3]
    ratio = fit_ratio(np.float32([[1.0, 0.5], [0.5, 0.1]]), np.float32([1 / 127, 1 / 127]), bound)
    assert ratio[0] == pytest.approx(127 / 64, rel=0.01)
    assert ratio[1] == 1.0  # 63.5 rounds to 64, within


def error(rows, scale, bound):
    codes = limit_codes(rows / scale[:, None], bound)
    return np.square(codes * scale[:, None] - rows).sum(axis=1)


@pytest.mark.parametrize("length", [9, 27, 64, 1152])
def test_fitted_scales_lose_far_less_than_seven_bits(length):
    rows = np.random.default_rng(0).standard_normal((256, length)).astype(np.float32)
    bound = PairLimit(pairs=(np.arange(length // 2 * 2).reshape(-1, 2),), limit=128, largest=127)
    free = PairLimit(pairs=(), limit=128, largest=127)
    largest = np.abs(rows).max(axis=1)
    scale = largest / 127
    fitted = error(rows, scale * fit_ratio(rows, scale, bound), bound)
    assert fitted.sum() < 0.45 * error(rows, largest / 63, free).sum()  # 3.5 dB less
    assert (fitted <= error(rows, scale, bound) * 1.0001).all()  # never worse than the scale that there was
    over = np.abs((rows / scale[:, None])[:, bound.pairs[0]].sum(axis=2)).max(axis=1) > 128
    by_search = [error(rows, scale * np.float32(ratio), bound) for ratio in np.linspace(1, 2, 257)]
    assert fitted[over].sum() < 1.1 * np.min(by_search, axis=0)[over].sum()


def test_a_row_within_the_limit_keeps_its_scale():
    rows = np.float32([[1.0, -1.0, 0.3, 0.1], [0.0, 0.0, 0.0, 0.0]])
    bound = PairLimit(pairs=(np.array([[0, 1], [2, 3]]),), limit=128, largest=127)
    assert fit_ratio(rows, np.float32([1 / 127, 1.0]), bound).tolist() == [1.0, 1.0]


def test_the_scale_of_a_long_row_weighs_what_is_rounded_against_what_is_cut():
    """8192 numbers rounded in steps of r cost 8192 · r² / 12, and the pair over the limit (192 - 128 r)² / 2.

    The least sum is at r = 128 · 192 / (128² + 8192 / 6) = 1.385.
    """
    row = np.random.default_rng(0).uniform(-20, 20, (1, 8192)).astype(np.float32)
    row[0, :2] = 96
    bound = PairLimit(pairs=(np.arange(8192).reshape(-1, 2),), limit=128, largest=127)
    assert fit_ratio(row, np.float32([1.0]), bound)[0] == pytest.approx(1.385, abs=0.012)


def test_a_row_at_the_limit_keeps_its_scale_though_another_would_round_it_better():
    rows = np.float32([[100.25, 27.75], [100.25, 28.75]])
    bound = PairLimit(pairs=(np.array([[0, 1]]),), limit=128, largest=127)
    at, over = fit_ratio(rows, np.float32([1.0, 1.0]), bound)
    assert at == 1.0
    assert over > 1.0


def test_a_row_of_nothing_keeps_its_scale():
    bound = PairLimit(pairs=(), limit=128, largest=127)
    assert fit_ratio(np.zeros((2, 0), np.float32), np.float32([1.0, 1.0]), bound).tolist() == [1.0, 1.0]
