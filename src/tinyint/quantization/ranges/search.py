"""Ranges with the least quantization error, found by quantizing the histogram to each candidate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import FloatArray, fake_quantize, qparams_from_range
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.ranges.bins import Counts, Edges, points

# (values (n,), quantized values (g, n), weights (n,)) -> (g,), the cost of each of g candidate ranges
Cost = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[np.float64]]

# Values and their weights in units of the counts.
Points = tuple[NDArray[np.float64], NDArray[np.float64]]
NO_POINTS: Points = (np.zeros(0), np.zeros(0))

_NARROWEST = 1 / 256  # the narrowest range tried: one code would become all of them


def mse_range(
    edges: Edges,
    counts: Counts,
    outer: tuple[float, float],
    scheme: Scheme,
    norm: float = 2.0,
    missed: Points = NO_POINTS,
) -> tuple[float, float]:
    """Range within `outer` of the smallest E|x - x̂|^norm.

    Over the histogram and the values it `missed`.

    Choukroun et al., Low-bit Quantization of Neural Networks (OMSE, 2019); p = 2.4 is BRECQ's choice (Li et
    al., 2021).
    """

    def cost(x: NDArray[Any], quantized: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
        error = np.abs(quantized - x)
        return np.asarray((error * error if norm == 2.0 else error**norm) @ weights)

    return _search(edges, counts, outer, scheme, cost, missed)


def emd_range(
    edges: Edges,
    counts: Counts,
    outer: tuple[float, float],
    scheme: Scheme,
    missed: Points = NO_POINTS,
) -> tuple[float, float]:
    """Range within `outer` of the least change of moments (PaddleSlim's `emd`).

    |mean x - mean x̂| + |std x - std x̂|.
    """

    def cost(x: NDArray[Any], quantized: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
        share = weights / weights.sum()
        both = np.concatenate([x[None], quantized]).astype(np.float64)
        mean = both @ share
        std = np.sqrt(np.maximum(both**2 @ share - mean**2, 0.0))
        return np.asarray(np.abs(mean[1:] - mean[0]) + np.abs(std[1:] - std[0]))

    return _search(edges, counts, outer, scheme, cost, missed)


def quantization_error(
    edges: Edges,
    counts: Counts,
    found: tuple[float, float],
    scheme: Scheme,
    norm: float = 2.0,
    missed: Points = NO_POINTS,
) -> float:
    """E|x - x̂|^norm for [lo, hi] = `found` under `scheme`.

    Of the histogram and the values it `missed`.
    """
    x, weights = _with(missed, points(edges, counts, (float(edges[0]), float(edges[-1])), len(counts)))
    quantized = _candidates(x, np.array([found[0]]), np.array([found[1]]), scheme)
    return float((np.abs(np.subtract(quantized, x, dtype=np.float64)) ** norm @ weights)[0] / weights.sum())


def _search(
    edges: Edges, counts: Counts, outer: tuple[float, float], scheme: Scheme, cost: Cost, missed: Points
) -> tuple[float, float]:
    """The cheapest range within `outer`: a coarse geometric grid on few points, then finer ones around the best.

    One dimension (a bound on |x|) if the scheme is symmetric or the data are on one side; else both ends on
    their own. No result costs more than `outer` itself.
    """
    unit = 2.0 ** int(np.frexp(max(-outer[0], outer[1]))[1])  # of a tensor in [-1, 1], no cost overflows
    edges, outer = edges / unit, (outer[0] / unit, outer[1] / unit)
    missed = missed[0] / unit, missed[1]
    lo, hi = outer
    tied = scheme.symmetric or lo == 0.0 or hi == 0.0
    ratios, size, rounds, finer = (64, 1024, 2, 15) if tied else (20, 256, 3, 7)
    grid = np.geomspace(_NARROWEST, 1.0, ratios)
    step = float(grid[1] / grid[0])
    low_grid, high_grid = grid, grid
    for _ in range(rounds + 1):
        x, weights = _with(missed, points(edges, counts, outer, size))
        lows, highs = _ranges(outer, low_grid, high_grid, tied)
        best = int(np.argmin(cost(x, _candidates(x, lows, highs, scheme), weights)))
        around = step ** np.linspace(-1.0, 1.0, finer)
        low_best = low_grid[best] if tied else low_grid[best // len(high_grid)]
        high_best = high_grid[best] if tied else high_grid[best % len(high_grid)]
        low_grid, high_grid = np.minimum(around * low_best, 1.0), np.minimum(around * high_best, 1.0)
        step **= 2 / (finer - 1)
        size = 1024
    found = float(lows[best]), float(highs[best])
    x, weights = _with(missed, points(edges, counts, outer, len(counts)))
    ends = _candidates(x, np.array([found[0], lo]), np.array([found[1], hi]), scheme)
    kept, full = cost(x, ends, weights)
    lo, hi = found if kept < full else outer
    return lo * unit, hi * unit


def _with(
    missed: Points, seen: tuple[FloatArray, NDArray[np.float64]]
) -> tuple[FloatArray, NDArray[np.float64]]:
    values, weights = missed
    return np.concatenate([seen[0], values.astype(np.float32)]), np.concatenate([seen[1], weights])


def _ranges(outer: tuple[float, float], low_grid: Edges, high_grid: Edges, tied: bool) -> tuple[Edges, Edges]:
    lo, hi = outer
    if tied:
        bound = max(-lo, hi) * high_grid
        return np.maximum(-bound, lo), np.minimum(bound, hi)
    return np.repeat(low_grid * lo, len(high_grid)), np.tile(high_grid * hi, len(low_grid))


def _candidates(x: FloatArray, lows: Edges, highs: Edges, scheme: Scheme) -> FloatArray:
    """x of shape (n,), quantized to each of g ranges: shape (g, n)."""
    params = qparams_from_range(
        lows, highs, qtype=scheme.qtype, symmetric=scheme.symmetric, granularity=PerAxis(0)
    )
    return fake_quantize(np.broadcast_to(x, (len(lows), len(x))), params)
