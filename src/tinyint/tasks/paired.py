"""Paired tests: whether two models differ beyond chance on the same samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinyint.tasks.scoring.scorer import Floats, Scorer

__all__ = ["RESAMPLES", "Difference", "differences", "mcnemar"]

RESAMPLES = 2000
_LEVEL = 0.05
_BLOCK = 1 << 21  # weights at a time


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference of a metric between two models on the same samples.

    * `low`, `high`: interval with the middle 95 % of the resampled differences
    * `p`: probability of a difference at least as large if the models are equally good
    * `test`: test that gives `p`
    """

    value: float
    low: float
    high: float
    p: float
    test: Literal["McNemar", "bootstrap"]

    @property
    def beyond_chance(self) -> bool:
        return self.p < _LEVEL


def differences(
    ours: Scorer, theirs: Scorer, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """Differences (ours - theirs) by metric, for metrics that both scorers have.

    Both scorers must have judged the same samples in the same order.

    p is McNemar's for a metric that is a share of right decisions. For the others it is that of the paired bootstrap
    (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 13 and 16): units are drawn with replacement,
    the same for both models, and p is twice the share of draws whose difference is zero or has the other sign.
    """
    assert ours.units == theirs.units
    one = np.ones((1, ours.units))
    values = {name: float(v[0]) for name, v in _difference(ours, theirs, one).items() if np.isfinite(v[0])}
    samples: dict[str, list[Floats]] = {name: [] for name in values}
    for weights in _draws(ours.units, resamples, seed):
        difference = _difference(ours, theirs, weights)
        for name in values:
            samples[name].append(difference[name])
    right_ours, right_theirs = ours.decisions(), theirs.decisions()
    result = {}
    for name, value in values.items():
        draws = np.concatenate(samples[name])
        draws = draws[np.isfinite(draws)]
        is_decision = name in right_ours and name in right_theirs
        low, high = np.quantile(draws, [_LEVEL / 2, 1 - _LEVEL / 2]) if draws.size else (np.nan, np.nan)
        result[name] = Difference(
            value=value,
            low=float(low),
            high=float(high),
            p=mcnemar(right_ours[name], right_theirs[name]) if is_decision else _two_sided(draws),
            test="McNemar" if is_decision else "bootstrap",
        )
    return result


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Mid-p value of McNemar's exact test.

    `a`, `b`: right (True) and wrong answers of two models to the same questions.

    Of n questions that only one of the models answers rightly, model a would have X ~ Binomial(n, 1/2) if both were
    equally good. p = 2·P(X < m) + P(X = m) with m the smaller of the two counts, or 1 if they are equal. Source:
    Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91: neither liberal nor conservative.
    """
    only_a, only_b = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    if only_a == only_b:
        return 1.0
    n, fewer = only_a + only_b, min(only_a, only_b)
    ways = 1  # C(n, k)
    below = 0  # Σ C(n, j) for j < k
    for k in range(fewer):
        below += ways
        ways = ways * (n - k) // (k + 1)
    return (2 * below + ways) / (1 << n)


def _difference(ours: Scorer, theirs: Scorer, weights: Floats) -> dict[str, Floats]:
    a, b = ours.resampled(weights), theirs.resampled(weights)
    return {name: a[name] - b[name] for name in a if name in b}


def _draws(units: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Counts of draws per unit, (B, units), in blocks that fit into memory."""
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // units)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        yield np.stack(
            [np.bincount(generator.integers(units, size=units), minlength=units) for _ in range(count)]
        ).astype(np.float64)


def _two_sided(draws: Floats) -> float:
    """Two-sided p, with the sample as one more draw, so never 0.

    Davison & Hinkley 1997, section 4.2.
    """
    less, more = int((draws <= 0).sum()), int((draws >= 0).sum())
    return min(1.0, 2 * (min(less, more) + 1) / (len(draws) + 1))
