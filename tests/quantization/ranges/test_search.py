"""Ranges found by search cost hardly more than the best of a fine grid, and errors are those worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinyint.numbers.numerics import QType, fake_quantize, qparams_from_range
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.ranges import emd_range, mse_range, quantization_error
from tinyint.quantization.ranges.bins import points
from tinyint.quantization.ranges.search import NO_POINTS

SIX_BITS = {
    "unsigned": Scheme(qtype=QType(storage="uint8", qmin=0, qmax=63), symmetric=False),
    "signed": Scheme(qtype=QType(storage="int8", qmin=-32, qmax=31), symmetric=False),
    "symmetric": Scheme(qtype=QType(storage="int8", qmin=-31, qmax=31), symmetric=True),
}
UINT4 = Scheme(qtype=QType(storage="uint4", qmin=0, qmax=15), symmetric=False)
MISSED = (np.array([-3.5, 19.0]), np.array([3.0, 2.0]))


def test_the_error_by_hand():
    # zero and 1.618, of which 2 is the nearest whole number; and 3.25 twice, a quarter off
    edges, counts, found = np.arange(3.0), np.array([1, 1]), (0.0, 15.0)
    off = 0.381966
    assert quantization_error(edges, counts, found, UINT4) == pytest.approx(off**2 / 2, rel=1e-5)
    assert quantization_error(edges, counts, found, UINT4, norm=1.0) == pytest.approx(off / 2, rel=1e-5)
    missed = np.array([3.25]), np.array([2.0])
    error = quantization_error(edges, counts, found, UINT4, missed=missed)
    assert error == pytest.approx((off**2 + 2 * 0.25**2) / 4, rel=1e-5)
    # steps of a fifth: 1.6 is the nearest
    finer = quantization_error(edges, counts, (0.0, 3.0), UINT4, norm=1.0)
    assert finer == pytest.approx(0.018034 / 2, rel=1e-4)


def histogram(first: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """A bell with long tails, in 400 bins of 1/16."""
    at = np.arange(first, first + 400) + 0.5
    counts = (
        np.random.default_rng(first % 1000)
        .poisson(900 * np.exp(-np.abs(at - first - 130) / 30))
        .astype(np.int64)
    )
    counts[[0, -1]] = np.maximum(counts[[0, -1]], 1)
    edges = np.arange(first, first + 401) / 16
    return edges, counts, (min(edges[0], 0.0), max(edges[-1], 0.0))


def moments_off(edges, counts, found, scheme, missed) -> float:
    """|mean x - mean x̂| + |std x - std x̂|."""
    x, weights = points(edges, counts, (edges[0], edges[-1]), len(counts))
    x, weights = np.append(x, missed[0]), np.append(weights, missed[1])
    params = qparams_from_range(*found, qtype=scheme.qtype, symmetric=scheme.symmetric)
    quantized = fake_quantize(x.astype(np.float32), params).astype(np.float64)
    mean, other = (np.average(values, weights=weights) for values in (x, quantized))
    std, its = (
        np.sqrt(np.average((v - m) ** 2, weights=weights)) for v, m in ((x, mean), (quantized, other))
    )
    return abs(mean - other) + abs(std - its)


def grid(outer: tuple[float, float], tied: bool) -> list[tuple[float, float]]:
    ratios = np.linspace(0.02, 1.0, 600 if tied else 40)
    if tied:
        bound = max(-outer[0], outer[1])
        return [(max(-bound * r, outer[0]), min(bound * r, outer[1])) for r in ratios]
    return [(outer[0] * a, outer[1] * b) for a in ratios for b in ratios]


@pytest.mark.parametrize("missed", [NO_POINTS, MISSED], ids=["none", "some"])
@pytest.mark.parametrize("first", [0, -130, -330, -420])
@pytest.mark.parametrize("scheme", SIX_BITS)
@pytest.mark.parametrize("norm", [2.0, 2.4, 1.0])
def test_no_range_of_a_grid_has_much_less_error(scheme, first, norm, missed):
    edges, counts, outer = histogram(first)
    outer = min(outer[0], *missed[0], 0.0), max(outer[1], *missed[0], 0.0)
    scheme = SIX_BITS[scheme]

    def cost(found):
        return quantization_error(edges, counts, found, scheme, norm, missed)

    found = mse_range(edges, counts, outer, scheme, norm, missed)
    assert outer[0] <= found[0] <= 0 <= found[1] <= outer[1]
    tied = scheme.symmetric or 0.0 in outer
    assert cost(found) <= 1.1 * min(map(cost, grid(outer, tied)))
    assert cost(found) < 0.96 * cost(outer)


@pytest.mark.parametrize("missed", [NO_POINTS, MISSED], ids=["none", "some"])
@pytest.mark.parametrize("first", [0, -130, -330, -420])
@pytest.mark.parametrize("scheme", SIX_BITS)
def test_few_ranges_of_a_grid_keep_moments_better(scheme, first, missed):
    edges, counts, outer = histogram(first)
    outer = min(outer[0], *missed[0], 0.0), max(outer[1], *missed[0], 0.0)
    scheme = SIX_BITS[scheme]
    found = emd_range(edges, counts, outer, scheme, missed)
    costs = [
        moments_off(edges, counts, other, scheme, missed)
        for other in grid(outer, scheme.symmetric or 0.0 in outer)
    ]
    assert np.mean(np.array(costs) < moments_off(edges, counts, found, scheme, missed)) < 0.03


@pytest.mark.parametrize("scheme", SIX_BITS)
@pytest.mark.parametrize("search", [mse_range, emd_range])
def test_the_unit_of_a_tensor_does_not_matter(search, scheme):
    edges, counts, outer = histogram(-130)
    plain = search(edges, counts, outer, SIX_BITS[scheme])
    for unit in (2.0**-60, 2.0**60):
        lo, hi = search(edges * unit, counts, (outer[0] * unit, outer[1] * unit), SIX_BITS[scheme])
        assert (lo / unit, hi / unit) == plain
