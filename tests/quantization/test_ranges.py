from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyint.numbers.granularity import PER_TENSOR, PerAxis
from tinyint.numbers.numerics import INT8, UINT8, fake_quantize, qparams_from_range, sqnr_db
from tinyint.numbers.observers import Summary
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.ranges import (
    RangeMethod,
    absmax_range,
    emd_range,
    find_range,
    kl_bound,
    kl_range,
    mse_range,
    percentile_range,
    quantization_error,
    weight_range,
)

U8 = Scheme(qtype=UINT8, symmetric=False)
S8 = Scheme(qtype=INT8, symmetric=True)
A8 = Scheme(qtype=INT8, symmetric=False)
WEIGHT = Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(0))
COLUMNS = replace(WEIGHT, granularity=PerAxis(1))
SCHEMES = pytest.mark.parametrize("scheme", [U8, S8, A8], ids=str)
ALGORITHMS = ["minmax", "absmax", "moving_average", "average", "percentile", "mse", "kl", "emd"]


def summary_of(*samples) -> Summary:
    summary = Summary()
    for i, sample in enumerate(samples):
        x = np.asarray(sample, np.float32)
        summary.update(float(x.min()), float(x.max()), x, i.to_bytes(4, "big"))
    return summary


def normal_with_outlier(count: float = 1e7) -> tuple[np.ndarray, np.ndarray]:
    """`count` values of N(0, 1) and one at 50, in bins of width 1/64."""
    edges = np.arange(-64 * 6, 64 * 50 + 2) / 64
    counts = np.round(count / 64 * np.exp(-((edges[:-1] + 1 / 128) ** 2) / 2) / np.sqrt(2 * np.pi))
    counts[-1] = 1
    return edges, counts.astype(np.int64)


OUTLIER = (-6.0, 50.0)


def test_minmax_absmax_and_averages_by_hand():
    summary = summary_of([-1.0, 4.0], [-3.0, 2.0])
    assert find_range(summary, RangeMethod(algorithm="minmax"), U8) == (-3.0, 4.0)
    assert find_range(summary, RangeMethod(algorithm="absmax"), U8) == (-4.0, 4.0)
    assert find_range(summary, RangeMethod(algorithm="average"), U8) == (-2.0, 3.0)
    lo, hi = find_range(summary, RangeMethod(algorithm="moving_average"), U8)
    assert lo == pytest.approx(-(0.9 * 1 + 3) / 1.9)
    assert hi == pytest.approx((0.9 * 4 + 2) / 1.9)


def test_what_is_not_said_of_a_method():
    method = RangeMethod(algorithm="mse")
    assert (method.percentile, method.norm) == (99.99, 2.0)


def test_absmax_keeps_one_sided_data_on_its_side():
    assert absmax_range(0.0, 3.0) == (0.0, 3.0)
    assert absmax_range(-3.0, 0.0) == (-3.0, 0.0)
    assert absmax_range(-3.0, 1.0) == (-3.0, 3.0)


def test_percentile_by_hand():
    # 100 values: 1 in [-2, -1), 98 in [1, 2), 1 in [5, 6)
    edges = np.arange(-2.0, 7.0)
    counts = np.array([1, 0, 0, 98, 0, 0, 0, 1])
    assert percentile_range(edges, counts, 99) == pytest.approx((1.0, 2.0))
    assert percentile_range(edges, counts, 99.5) == pytest.approx((-1.5, 5.5))
    assert percentile_range(edges, counts, 100) == pytest.approx((-2.0, 6.0))


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_data_that_end_at_one_are_clipped_like_others(sign):
    x = sign * np.append(np.linspace(0.05, 0.1, 10_000), 1.0)
    found = find_range(summary_of(x), RangeMethod(algorithm="percentile", percentile=99), U8)
    assert max(map(abs, found)) == pytest.approx(0.1, rel=0.02)
    assert min(map(abs, found)) == 0.0


def test_percentile_is_not_outvoted_by_the_zeros_of_a_relu():
    rng = np.random.default_rng(0)
    relu = np.concatenate([np.zeros(10_000_000), rng.uniform(0, 8, 500)])
    _, hi = find_range(summary_of(relu), RangeMethod(algorithm="percentile", percentile=99), U8)
    assert hi == pytest.approx(8 * 0.99, rel=0.02)


@SCHEMES
def test_one_outlier_is_clipped_where_minmax_keeps_it(scheme):
    edges, counts = normal_with_outlier()
    found = {
        "percentile": percentile_range(edges, counts, 99.99),
        "mse": mse_range(edges, counts, OUTLIER, scheme),
        "kl": kl_range(edges, counts, OUTLIER, scheme),
    }
    for algorithm, (lo, hi) in found.items():
        assert 3 < hi < 9, algorithm
        assert -9 < lo < -3, algorithm


def test_mse_equals_the_optimum_known_for_a_normal_distribution():
    # ACIQ (Banner et al., 2019), table 1: at 8 bits the best bound of a Gaussian is 3.92 σ.
    edges = np.arange(-64 * 8, 64 * 8 + 1) / 64
    counts = np.round(1e9 * np.exp(-((edges[:-1] + 1 / 128) ** 2) / 2)).astype(np.int64)
    lo, hi = mse_range(edges, counts, (-8.0, 8.0), S8)
    assert hi == pytest.approx(3.92, abs=0.12)
    assert lo == -hi


def test_a_larger_norm_clips_less():
    edges, counts = normal_with_outlier()
    bounds = [mse_range(edges, counts, OUTLIER, U8, norm)[1] for norm in (1.0, 2.0, 4.0)]
    assert bounds == sorted(bounds)
    assert bounds[2] > 2 * bounds[1]


@SCHEMES
@pytest.mark.parametrize("algorithm", ["mse", "kl", "emd", "percentile"])
def test_uniform_data_are_not_clipped(algorithm, scheme):
    x = np.random.default_rng(0).uniform(0, 3, 200_000)
    lo, hi = find_range(summary_of(x), RangeMethod(algorithm=algorithm), scheme)
    assert lo == 0.0
    assert hi == pytest.approx(3.0, rel=0.015)


@pytest.mark.parametrize("algorithm", ["mse", "kl", "percentile", "emd"])
def test_a_spike_at_zero_does_not_decide(algorithm):
    half_normal = np.abs(np.random.default_rng(0).standard_normal(100_000))
    method = RangeMethod(algorithm=algorithm)
    _, plain = find_range(summary_of(half_normal), method, U8)
    _, spiked = find_range(summary_of(np.append(half_normal, np.zeros(3_000_000))), method, U8)
    assert spiked == pytest.approx(plain, rel=0.1)


def test_kl_by_brute_force():
    """Against the definition, written out."""
    rng = np.random.default_rng(3)
    folded = rng.poisson(40 * np.exp(-np.arange(60) / 8))
    folded[59] = 1
    levels, best = 8, (np.inf, 0)
    p_all = folded.astype(float)
    p_all[0] = p_all[1]
    for kept in range(levels, 61):
        p, q = p_all[:kept].copy(), np.zeros(kept)
        for level in range(levels):
            part = slice(kept * level // levels, kept * (level + 1) // levels)
            filled = p[part] > 0
            if filled.any():
                q[part] = np.where(filled, p[part].sum() / filled.sum(), 0)
        p[-1] += p_all[kept:].sum()
        p, q = p / p.sum(), q / q.sum()
        inside = p > 0
        if (q[inside] == 0).any():
            continue
        divergence = float((p[inside] * np.log(p[inside] / q[inside])).sum())
        best = min(best, (divergence, kept))
    assert kl_bound(folded, levels) == best[1] < 60


def test_kl_needs_more_bins_than_levels():
    edges, counts = normal_with_outlier()
    folded = counts[64 * 6 :]
    coarse = np.add.reduceat(folded, np.linspace(0, len(folded), 128, endpoint=False).astype(int))
    assert kl_bound(coarse, 128) == 128  # as many levels as bins: nothing to choose, nothing clipped
    assert kl_bound(folded, 128) / len(folded) < 0.2
    assert edges[-1] > 50


@pytest.mark.parametrize(
    ("values", "lowest", "highest"),
    [
        (lambda rng: rng.normal(3, 0.3, 200_000), 4.1, 4.5),
        (lambda rng: 1 / (1 + np.exp(-rng.normal(1.4, 0.5, 200_000))), 0.95, 1.0),
        (lambda rng: np.append(rng.normal(1, 0.15, 200_000), [0.0, 0.0, 0.0]), 1.5, 1.7),
        (lambda rng: np.append(np.full(200_000, 0.8), rng.uniform(0, 1, 50_000)), 0.9, 1.0),
    ],
    ids=["away from zero", "gate", "with zeros", "spike"],
)
@SCHEMES
def test_kl_keeps_data_that_are_away_from_zero(values, lowest, highest, scheme):
    summary = summary_of(values(np.random.default_rng(0)))
    _, hi = find_range(summary, RangeMethod(algorithm="kl"), scheme)
    assert lowest < hi < highest


def test_kl_gives_outliers_that_the_histogram_missed_their_weight():
    rng = np.random.default_rng(0)
    summary = Summary()
    for i in range(8):  # one element in a thousand is 30, and none of them is in the subsample
        x = rng.normal(0, 1, 4096).astype(np.float32)
        summary.update(float(x.min()), 30.0, x, bytes([i]), elements=4096 * 1000)
    assert find_range(summary, RangeMethod(algorithm="kl"), U8)[1] < 6  # eight of 32 million
    for i in range(8, 200):
        summary.update(-1.0, 30.0, np.zeros(16, np.float32), bytes([i]), elements=16)
    assert find_range(summary, RangeMethod(algorithm="kl"), U8)[1] > 25  # 200 of 36 thousand


def shaped(rng: np.random.Generator, kind: str, count: int) -> np.ndarray:
    centre, width, share = rng.uniform(0.2, 5), 10 ** rng.uniform(-2, 0), rng.uniform(0.001, 0.9)
    noise = rng.normal(0, 1, count)
    match kind:
        case "shifted":
            return rng.choice([-1, 1]) * (centre + width * noise)
        case "gated":
            return 1 / (1 + np.exp(-(noise * 3 * width + centre)))
        case "clamped":
            return np.clip(noise * width + rng.uniform(0, 6), 0, 6)
        case "spiked":
            return np.where(rng.random(count) < share, rng.choice([0, centre, -centre]), noise)
        case "bimodal":
            return (
                np.where(rng.random(count) < share, centre, rng.choice([-1, 1]) * 3 * centre) + width * noise
            )
        case "bursts":
            return np.where(rng.random(count) < share / 100, 30 * noise, width * noise)
    raise ValueError(kind)


@given(
    kind=st.sampled_from(["shifted", "gated", "clamped", "spiked", "bimodal", "bursts"]),
    seed=st.integers(0, 2**32 - 1),
    scheme=st.sampled_from([U8, S8, A8]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
@settings(max_examples=60, deadline=None)
def test_kl_is_never_worse_than_minmax_by_more_than_3_db(kind, seed, scheme, scale):
    x = (scale * shaped(np.random.default_rng(seed), kind, 20_000)).astype(np.float32)

    def error(algorithm):
        lo, hi = find_range(summary_of(x), RangeMethod(algorithm=algorithm), scheme)
        return sqnr_db(
            x, fake_quantize(x, qparams_from_range(lo, hi, qtype=scheme.qtype, symmetric=scheme.symmetric))
        )

    assert error("kl") > error("minmax") - 3


def test_kl_of_lopsided_data_clips_the_long_side_alone():
    z = 3 * np.random.default_rng(0).standard_normal(500_000)
    silu = np.append(z / (1 + np.exp(-z)), 80.0)
    lo, hi = find_range(summary_of(silu), RangeMethod(algorithm="kl"), U8)
    assert lo == pytest.approx(-0.278, abs=0.002)
    assert 6 < hi < 20


@SCHEMES
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("values", "side"),
    [
        ([0.0, 0.0], 0),
        ([3.25] * 9, 1),
        ([-3.25], -1),
        ([-2.0, -1.0], -1),
        ([1e-42, 0.0], 1),
        ([3e38, 1.0], 1),
    ],
    ids=["dead", "constant", "single", "negative", "subnormal", "huge"],
)
def test_degenerate_tensors(algorithm, values, side, scheme):
    lo, hi = find_range(summary_of(values), RangeMethod(algorithm=algorithm), scheme)
    assert (lo < 0, hi > 0) == (side < 0, side > 0)
    assert np.float32(min(values)) <= lo or lo == 0
    assert hi <= max(np.float32(max(values)), 0)
    if len(set(values)) == 1:
        assert lo + hi == pytest.approx(values[0], rel=0.01)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_subsample_of_zeros_does_not_shrink_the_range(algorithm):
    summary = Summary()
    summary.update(-1.0, 5.0, np.zeros(10, np.float32), b"")
    lo, hi = find_range(summary, RangeMethod(algorithm=algorithm), U8)
    assert hi == 5.0
    assert lo <= -1.0


@st.composite
def histograms(draw):
    counts = np.array(draw(st.lists(st.integers(0, 1000), min_size=1, max_size=300)), np.int64)
    counts[[0, -1]] = np.maximum(counts[[0, -1]], 1)
    first = draw(st.integers(-400, 400))
    return np.arange(first, first + len(counts) + 1) * 2.0 ** draw(st.integers(-40, 40)), counts


@given(
    histogram=histograms(), scheme=st.sampled_from([U8, S8, A8]), norm=st.sampled_from([1.0, 2.0, 2.4, 4.0])
)
@settings(max_examples=60, deadline=None)
def test_mse_is_never_worse_than_minmax(histogram, scheme, norm):
    edges, counts = histogram
    outer = min(float(edges[0]), 0.0), max(float(edges[-1]), 0.0)
    lo, hi = mse_range(edges, counts, outer, scheme, norm)
    assert outer[0] <= lo <= 0 <= hi <= outer[1]
    plain = quantization_error(edges, counts, outer, scheme, norm)
    assert quantization_error(edges, counts, (lo, hi), scheme, norm) <= plain * (1 + 1e-5)


@given(histogram=histograms(), scheme=st.sampled_from([U8, S8, A8]))
@settings(max_examples=60, deadline=None)
def test_every_histogram_has_a_range(histogram, scheme):
    edges, counts = histogram
    outer = min(float(edges[0]), 0.0), max(float(edges[-1]), 0.0)
    lo, hi = kl_range(edges, counts, outer, scheme)
    assert outer[0] <= lo <= 0 <= hi <= outer[1]
    assert lo < hi
    lo, hi = emd_range(edges, counts, outer, scheme)
    assert outer[0] <= lo <= 0 <= hi <= outer[1]
    lo, hi = percentile_range(edges, counts, 99.9)
    assert edges[0] <= lo <= hi + 1e-6 * abs(hi)
    assert hi <= edges[-1]


def test_weight_range_by_hand():
    weight = np.array([[1.0, -2.0], [0.0, 0.0], [3.0, 4.0]], np.float32)
    lo, hi = weight_range(weight, "absmax", WEIGHT)
    np.testing.assert_array_equal(lo, [-2, 0, 0])
    np.testing.assert_array_equal(hi, [1, 0, 4])
    lo, hi = weight_range(weight, "absmax", replace(WEIGHT, granularity=PER_TENSOR))
    assert (lo.shape, hi.shape, float(lo), float(hi)) == ((), (), -2.0, 4.0)


def weight_error(weight, lo, hi):
    params = qparams_from_range(lo, hi, qtype=WEIGHT.qtype, symmetric=True, granularity=PerAxis(1))
    return np.square(fake_quantize(weight, params) - weight).sum(axis=(0, 2))


def test_mse_of_weights_clips_the_channel_with_an_outlier_alone():
    rng = np.random.default_rng(0)
    weight = rng.uniform(-1, 1, (256, 2, 256)).astype(np.float32)  # channels along axis 1
    weight[0, 1, 0] = 3.0
    lo, hi = weight_range(weight, "mse", COLUMNS)
    plain_lo, plain_hi = weight_range(weight, "absmax", COLUMNS)
    assert max(-lo[0], hi[0]) > 0.97
    assert 0.9 < hi[1] < 2.5
    assert weight_error(weight, lo, hi)[1] < 0.9 * weight_error(weight, plain_lo, plain_hi)[1]


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 600), power=st.floats(0.1, 4))
@settings(max_examples=40, deadline=None)
def test_mse_of_weights_is_never_worse_than_absmax(seed, size, power):
    x = np.random.default_rng(seed).standard_normal((2, 3, size))
    weight = (np.sign(x) * np.abs(x) ** power).astype(np.float32)
    mse, absmax = (weight_error(weight, *weight_range(weight, m, COLUMNS)) for m in ("mse", "absmax"))
    assert (mse <= absmax * (1 + 1e-5)).all()
