import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyint.numbers.observers import HALF, TAIL, Histogram, Summary

floats = st.floats(-(2.0**99), 2.0**99, width=32)
batches = st.lists(hnp.arrays(np.float32, st.integers(1, 20), elements=floats), min_size=1, max_size=6)


def summarise(samples: list[np.ndarray]) -> Summary:
    summary = Summary()
    for x in samples:
        summary.update(float(x.min()), float(x.max()), x, x.tobytes())
    return summary


def test_bins_have_a_power_of_two_width_and_start_at_zero():
    histogram = Histogram()
    histogram.update(np.float32([0.0, 1.0, 1.5, -0.25, 1.5]))
    # 1.5 < 4096 · 2^-11, so the width is 2^-11: 1.0 falls into bin 2048, 1.5 into 3072, -0.25 into -512
    assert histogram.exponent == -11
    assert {int(i) - HALF: int(histogram.counts[i]) for i in np.flatnonzero(histogram.counts)} == {
        -512: 1,
        0: 1,
        2048: 1,
        3072: 2,
    }


def test_growing_range_adds_neighbours_up():
    histogram = Histogram()
    histogram.update(np.float32([1.0, 1.0 + 2.0**-12, -(2.0**-12)]))
    histogram.update(np.float32([4096.0]))  # width 2: bins of 2^-11 join by 4096
    assert histogram.exponent == 1
    assert histogram.counts[HALF] == 2
    assert histogram.counts[HALF - 1] == 1
    assert histogram.counts[HALF + 2048] == 1


def test_trimmed_covers_the_values():
    histogram = Histogram()
    histogram.update(np.float32([-0.5, 3.0]))
    edges, counts = histogram.trimmed()
    assert edges[0] == -0.5
    assert edges[-2] <= 3.0 < edges[-1]
    assert counts.sum() == histogram.total == 2


def test_empty_and_all_zero_are_different():
    empty, zero = Histogram(), Histogram()
    zero.update(np.zeros(3, np.float32))
    assert empty.exponent is None
    assert empty.trimmed()[1].size == 0
    assert zero.total == 3
    zero.update(np.float32([2.0]))
    assert zero.counts[HALF] == 3


def test_averages_by_hand():
    summary = Summary()
    for key, lo, hi in [(b"b", -1.0, 10.0), (b"a", -3.0, 2.0)]:
        summary.update(lo, hi, np.float32([lo, hi]), key)
    assert (summary.lo, summary.hi) == (-3.0, 10.0)
    assert summary.mean_extrema() == (-2.0, 6.0)
    # in key order: 2 first, then 10: (0.9 · 2 + 10) / 1.9
    assert summary.moving_average()[1] == pytest.approx(11.8 / 1.9)


def test_not_seen_is_a_state_not_a_value():
    with pytest.raises(ValueError, match="not seen"):
        _ = Summary().lo


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_only_finite_values(bad):
    with pytest.raises(ValueError, match="finite"):
        Histogram().update(np.float32([1.0, bad]))
    with pytest.raises(ValueError, match="finite"):
        Summary().update(bad, 1.0, np.float32([1.0]), b"")


@given(batches, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_summary(samples, random):
    shuffled = list(samples)
    random.shuffle(shuffled)
    assert summarise(samples) == summarise(shuffled)


@given(batches, st.integers(0, 6))
def test_any_split_gives_the_same_summary(samples, cut):
    left, right = summarise(samples[:cut]), summarise(samples[cut:])
    right.merge(left)
    assert right == summarise(samples)


@given(hnp.arrays(np.float32, 50, elements=floats))
def test_every_value_lies_in_its_bin(x):
    histogram = Histogram()
    histogram.update(x)
    edges, counts = histogram.trimmed()
    assert np.array_equal(np.histogram(x.astype(np.float64), edges)[0], counts)


def test_memory_does_not_grow_with_samples():
    summary = Summary()
    rng = np.random.default_rng(0)
    for i in range(TAIL * 3):
        x = rng.standard_normal(16).astype(np.float32)
        summary.update(float(x.min()), float(x.max()), x, i.to_bytes(4, "big"))
    assert len(summary._tail) == TAIL
    assert summary.histogram.counts.size == 2 * HALF


def test_what_the_subsample_missed_keeps_its_weight():
    summary = Summary()
    for i in range(4):
        # 1000 elements, of which 10 are counted; the maximum is not among them
        summary.update(-1.0, 50.0 + i, np.linspace(-1, 1, 10, dtype=np.float32), bytes([i]), elements=1000)
    values, weights = summary.missed()
    assert values.tolist() == [50.0, 51.0, 52.0, 53.0]
    # each is one element in 1000 of its sample, where a count stands for 100
    assert weights.tolist() == pytest.approx([0.01] * 4)


@given(batches, st.integers(0, 3))
def test_what_samples_leave_contradicts_nothing(samples, infinite):
    summary = summarise(samples)
    summary.infinite += infinite
    assert summary.contradiction() is None


def test_many_samples_contradict_nothing_either():
    values = np.random.default_rng(0).normal(size=(2 * TAIL, 3)).astype(np.float32)
    left, right = summarise(list(values[: TAIL + 9])), summarise(list(values[TAIL + 9 :]))
    left.merge(right)
    assert left.contradiction() is None
    left.update(2.0**-100, 2.0**127, np.float32([2.0**-100, 2.0**127]), b"large")
    assert left.contradiction() is None
    left._sum_hi += int(2.0**127 * 2.0**149) * 2 * TAIL
    assert left.contradiction() == "the sums of the extrema are not those of the samples"
