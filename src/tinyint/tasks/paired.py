"""Whether two models differ beyond chance, judged on the same samples."""

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

    * `low`, `high`: the middle 95 % of the differences that resampling gives
    * `p`: how likely a difference at least as large is if the models are equally good
    * `test`: what `p` is from
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
    """Differences by metric, ours less theirs, where both have it.

    Both scorers saw the same samples in the same order.

    p is McNemar's for a share of right decisions. For the others it is the paired bootstrap's (Efron & Tibshirani 1993,
    An Introduction to the Bootstrap, chapters 13 and 16): units are drawn with replacement, the same for both models,
    and p is twice the share of draws whose difference is on the other side of zero, or zero.
    """
    assert ours.units == theirs.units
    one = np.ones((1, ours.units))
    values = {name: float(v[0]) for name, v in _difference(ours, theirs, one).items() if np.isfinite(v[0])}
    drawn: dict[str, list[Floats]] = {name: [] for name in values}
    for weights in _draws(ours.units, resamples, seed):
        found = _difference(ours, theirs, weights)
        for name in values:
            drawn[name].append(found[name])
    right_ours, right_theirs = ours.decisions(), theirs.decisions()
    made = {}
    for name, value in values.items():
        draws = np.concatenate(drawn[name])
        draws = draws[np.isfinite(draws)]
        decided = name in right_ours and name in right_theirs
        low, high = np.quantile(draws, [_LEVEL / 2, 1 - _LEVEL / 2]) if draws.size else (np.nan, np.nan)
        made[name] = Difference(
            value=value,
            low=float(low),
            high=float(high),
            p=mcnemar(right_ours[name], right_theirs[name]) if decided else _two_sided(draws),
            test="McNemar" if decided else "bootstrap",
        )
    return made


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Mid-p value of McNemar's exact test for two models' answers.

    Right (True) and wrong answers to the same questions.

    Of the n questions that one model alone has right, X ~ Binomial(n, 1/2) would be model a's if both were equally
    good; p = 2·P(X < m) + P(X = m), m the smaller of the two counts, and 1 where they are equal. Source: Fagerland,
    Lydersen & Laake 2013, BMC Medical Research Methodology 13:91, which finds it neither liberal nor conservative.
    """
    only_a, only_b = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    if only_a == only_b:
        return 1.0
    n, fewer = only_a + only_b, min(only_a, only_b)
    ways = 1  # C(n, k)
    below = 0  # the sum of those before it
    for k in range(fewer):
        below += ways
        ways = ways * (n - k) // (k + 1)
    return (2 * below + ways) / (1 << n)


def _difference(ours: Scorer, theirs: Scorer, weights: Floats) -> dict[str, Floats]:
    a, b = ours.resampled(weights), theirs.resampled(weights)
    return {name: a[name] - b[name] for name in a if name in b}


def _draws(units: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each unit is drawn, (B, units), in blocks that fit the memory."""
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // units)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        yield np.stack(
            [np.bincount(generator.integers(units, size=units), minlength=units) for _ in range(count)]
        ).astype(np.float64)


def _two_sided(draws: Floats) -> float:
    """Two-sided p with the sample as one more draw, so never 0.

    Davison & Hinkley 1997, section 4.2.
    """
    less, more = int((draws <= 0).sum()), int((draws >= 0).sum())
    return min(1.0, 2 * (min(less, more) + 1) / (len(draws) + 1))
