"""The range of least divergence against its definition, written out, on formats of few codes."""

from __future__ import annotations

import numpy as np
import pytest

from tinyint.numbers.numerics import INT4, QType
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.ranges import kl_bound, kl_range, quantization_error
from tinyint.quantization.ranges.search import NO_POINTS, Points

UINT4 = QType(storage="uint4", qmin=0, qmax=15)
SCHEMES = {
    "uint4": Scheme(qtype=UINT4, symmetric=False),
    "uint4 symmetric": Scheme(qtype=UINT4, symmetric=True),
    "int4": Scheme(qtype=INT4, symmetric=False),
    "int4 symmetric": Scheme(qtype=INT4, symmetric=True),
    "narrow": Scheme(qtype=INT4.narrow(), symmetric=True),
}


def folded_by_loop(first: int, counts: np.ndarray) -> np.ndarray:
    """Bin b holds [b, b + 1), so that |x| of bin -1 is that of bin 0."""
    folded = np.zeros(max(first + len(counts), -first), np.int64)
    for number, count in enumerate(counts, first):
        folded[number if number >= 0 else -number - 1] += count
    return folded


def levels_of(first: int, counts: np.ndarray, scheme: Scheme) -> int:
    """The codes on the longer side of zero."""
    codes = {"uint4": 16, "uint4 symmetric": 16, "int4": 16, "int4 symmetric": 16, "narrow": 15}[
        next(name for name, known in SCHEMES.items() if known == scheme)
    ]
    if scheme.symmetric and (scheme.qtype.signed or first < 0):
        return 8
    last = first + len(counts)
    longer, span = max(last, -first), max(last, 0) - min(first, 0)
    return max(round(codes * longer / span), codes // 2)


def divergence(folded: np.ndarray, kept: int, levels: int) -> float:
    p_all = folded.astype(float)
    p_all[0] = p_all[1]
    p, q = p_all[:kept].copy(), np.zeros(kept)
    for level in range(levels):
        part = slice(kept * level // levels, kept * (level + 1) // levels)
        filled = p[part] > 0
        if filled.any():
            q[part] = np.where(filled, p[part].sum() / filled.sum(), 0)
    p[-1] += p_all[kept:].sum()
    inside = p > 0
    if (q[inside] == 0).any():
        return np.inf
    p, q = p / p.sum(), q / q.sum()
    return float((p[inside] * np.log(p[inside] / q[inside])).sum())


def narrowest_by_loop(folded: np.ndarray, width: float, missed: Points, full: float) -> int:
    """The least T, in bins, where what is cut beyond T and what is rounded cost at most 1.5 times as much."""
    values = [(k + 0.5, n) for k, n in enumerate(folded)] + [
        (abs(x) / width, n) for x, n in zip(*missed, strict=True)
    ]
    total = sum(n for _, n in values)
    most = max([len(folded), *(abs(x) / width for x in missed[0])])
    for bins in range(len(folded)):
        beyond = [(x, n) for i, (x, n) in enumerate(values) if (i >= bins if i < len(folded) else True)]
        cut = sum(n * (x - bins) ** 2 for x, n in beyond) * width**2 / total
        if cut + full * (bins / most) ** 2 <= 1.5 * full:
            return bins
    return len(folded)


def by_definition(
    first: int, counts: np.ndarray, width: float, scheme: Scheme, missed: Points
) -> tuple[float, float]:
    edges = np.arange(first, first + len(counts) + 1) * width
    outer = min(edges[0], *missed[0], 0.0), max(edges[-1], *missed[0], 0.0)
    full = quantization_error(edges, counts, outer, scheme, missed=missed)
    folded, levels = folded_by_loop(first, counts), levels_of(first, counts, scheme)
    least = max(levels, narrowest_by_loop(folded, width, missed, full))
    tried = range(len(folded), least - 1, -1)
    bound = width * min(tried, key=lambda kept: divergence(folded, kept, levels), default=len(folded))
    found = max(-bound, outer[0]), min(bound, outer[1])
    error = quantization_error(edges, counts, found, scheme, missed=missed)
    return outer if error > 1.5 * full else found


CASES = [
    (0, "decaying"), (-40, "decaying"), (8, "decaying"), (-6, "bell"), (-30, "bell"), (-50, "bell"), (-70, "bell"),
    (-70, "away"), (0, "spike"), (-60, "spike"),
]  # fmt: skip


def counts_of(kind: str, first: int, generator: np.random.Generator) -> np.ndarray:
    size = 60
    at = np.arange(first, first + size) + 0.5
    if kind == "decaying":
        at = np.abs(at - first) if first >= 0 else np.abs(at - (first + size))
    if kind == "away":
        at = (at + 40) * 1.5
    if kind == "spike":
        at = (np.abs(at) - 20) * 9
    counts = generator.poisson(400 * np.exp(-((at / 9) ** 2) / 2))
    counts[0], counts[-1] = max(counts[0], 1), max(counts[-1], 1)
    return counts.astype(np.int64)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("first", "kind"), CASES)
@pytest.mark.parametrize("far", [None, (40.0, 2.0), (40.0, 80.0), (100.0, 20.0)])
def test_the_range_is_that_of_the_definition(first, kind, scheme, far):
    missed = NO_POINTS if far is None else (np.array([-1.5, far[0]]), np.array([3.0, far[1]]))
    generator = np.random.default_rng(first % 1000)
    for width in (1.0, 0.125):
        counts = counts_of(kind, first, generator)
        edges = np.arange(first, first + len(counts) + 1) * width
        outer = min(edges[0], *missed[0], 0.0), max(edges[-1], *missed[0], 0.0)
        found = kl_range(edges, counts, outer, SCHEMES[scheme], missed)
        assert found == pytest.approx(by_definition(first, counts, width, SCHEMES[scheme], missed))


@pytest.mark.parametrize("seed", range(12))
def test_the_first_bin_counts_like_the_second_whatever_the_third(seed):
    folded = np.random.default_rng(seed).poisson(200 * np.exp(-np.arange(60) / 9))
    folded[:3] = [100_000, 40, 900] if seed % 2 else [0, 900, 40]
    folded[59] = 1
    for levels, narrowest in ((8, 0), (16, 0), (8, 30)):
        tried = range(60, max(levels, narrowest) - 1, -1)
        assert kl_bound(folded, levels, narrowest) == min(
            tried, key=lambda kept: divergence(folded, kept, levels)
        )


def test_a_long_histogram_misses_no_candidate():
    """520 bins, of which every number from 8 on is tried."""
    folded = np.random.default_rng(1).poisson(5000 * np.exp(-np.arange(520) / 200))
    folded[-1] = 1
    for narrowest in (8, 262, 263, 264, 265):
        tried = range(520, narrowest - 1, -1)
        assert kl_bound(folded, 8, narrowest) == min(tried, key=lambda kept: divergence(folded, kept, 8))
