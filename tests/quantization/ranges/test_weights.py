"""Clipped ranges of weights against their definition, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import INT4, INT8, QType, fake_quantize, qparams_from_range
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.ranges import weight_range

SCHEMES = {
    "narrow": Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(0)),
    "of 4 bits": Scheme(qtype=INT4.narrow(), symmetric=True, granularity=PerAxis(0)),
    "of 4 bits with a zero-point": Scheme(
        qtype=QType(storage="uint4", qmin=0, qmax=15), symmetric=False, granularity=PerAxis(0)
    ),
}


def by_definition(row: np.ndarray, scheme: Scheme) -> tuple[float, float]:
    """The range times the r of least clipping and rounding, if the quantizer confirms that it is better than 1."""
    lo, hi = min(row.min(), 0.0), max(row.max(), 0.0)
    low, high = (-max(-lo, hi), max(-lo, hi)) if scheme.symmetric else (lo, hi)
    step = (high - low) / (scheme.qtype.qmax - scheme.qtype.qmin)

    def modelled(ratio: float) -> float:
        clipped = row - np.clip(row, low * ratio, high * ratio)
        return float((clipped**2).sum() + row.size * (step * ratio) ** 2 / 12)

    def simulated(ratio: float) -> float:
        params = qparams_from_range(low * ratio, high * ratio, qtype=scheme.qtype, symmetric=scheme.symmetric)
        return float(((fake_quantize(row.astype(np.float32), params) - row) ** 2).sum())

    best = min([1.0, *np.linspace(0.98, 0.3, 35)], key=modelled)
    ratio = best if simulated(best) < simulated(1.0) else 1.0
    return lo * ratio, hi * ratio


@pytest.mark.parametrize(
    ("scheme", "size", "varied"),
    [
        ("narrow", 100, 1),
        ("narrow", 3000, 2),
        *(
            (name, size, varied)
            for name in list(SCHEMES)[1:]
            for size, varied in ((8, 1), (100, 3), (3000, 4))
        ),
    ],
)
def test_each_row_is_clipped_where_that_is_best(scheme, size, varied):
    scheme = SCHEMES[scheme]
    generator = np.random.default_rng(size)
    rows = generator.standard_normal((40, size)) ** 3 + generator.uniform(-1, 1, (40, 1))
    found = weight_range(rows.astype(np.float32), "mse", scheme)
    expected = np.array([by_definition(row, scheme) for row in rows]).T
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    whole = np.maximum(rows.max(axis=1), 0.0) - np.minimum(rows.min(axis=1), 0.0)
    ratios = np.round((expected[1] - expected[0]) / whole, 2)
    assert len(np.unique(ratios)) >= varied  # rows differ in what is best


def test_rows_beyond_a_block_are_clipped_like_the_others():
    generator = np.random.default_rng(0)
    rows = np.tile(generator.standard_normal((1, 3000)) ** 3, (60, 1)).astype(np.float32)
    lo, hi = weight_range(rows, "mse", SCHEMES["of 4 bits"])
    assert len(set(lo.tolist())) == len(set(hi.tolist())) == 1
    assert hi[0] < 0.9 * rows.max() or lo[0] > 0.9 * rows.min()
