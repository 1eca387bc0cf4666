"""Weights of 8 bits whose sums of pairs fit into 16.

Without VNNI, x86 kernels multiply bytes by VPMADDUBSW, which adds two neighbours, u₁·w₁ + u₂·w₂, in 16 bits that
saturate (Intel SDM). With codes u from 0 to U the sum stays within if

    |w₁ + w₂| <= ⌊32,767 / U⌋        for weights of one sign;

those of unlike signs never leave it. To signed activations the kernels add 128, which makes them unsigned. The usual
answer, weights of 7 bits, halves the resolution of every channel for the sake of a few pairs. Here a channel keeps 8
bits, its pairs over the limit move to the nearest codes within, and its scale is the one of least squared error: a
larger one moves fewer pairs, a smaller one rounds finer.

The nearest codes of a pair over the limit lie on the line w₁ + w₂ = ±limit: from codes inside, one more step of the
weight that is farther off never adds error. Where the pairs of several packings overlap, one set is settled after the
other. Codes only shrink, so what was settled stays so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyint.numbers.numerics import FloatArray

__all__ = ["PairLimit", "fit_ratio", "limit_codes", "pair_limit"]

_LARGEST_SUM = 2**15 - 1
# At twice the scale no code is above 64, and no pair over the limit.
_RATIOS = np.linspace(1.0, 2.0, 129)
# Elements a row that are rounded to find its ratio: all candidates of a short one, a few of a long one.
_EXACT = 2**13
_BLOCK = 2**17  # elements: with their scratch they stay in the cache of a core


def pair_limit(largest_code: int = 255) -> int:
    """Largest sum of two same-sign weights, for activation codes up to `largest_code`."""
    return _LARGEST_SUM // max(largest_code, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class PairLimit:
    """Limit on pair sums of weights in a flattened filter.

    * `pairs`: sets of positions that are added in twos, each (P, 2)
    * `limit`: the largest sum of two codes of one sign
    * `largest`: the largest code; half of the limit where any two may meet
    """

    pairs: tuple[NDArray[np.int64], ...]
    limit: int
    largest: int

    @property
    def is_met_by_any_two(self) -> bool:
        """Whether the largest code sees to the limit, whatever the pairs."""
        return 2 * self.largest <= self.limit


def limit_codes(x: FloatArray, bound: PairLimit) -> FloatArray:
    """Codes nearest to x (C, K) within the bound, in x's shape.

    x is in units of the scale; codes are whole numbers.
    """
    codes = np.clip(np.rint(x), -bound.largest, bound.largest)
    exact = x
    for index, pairs in enumerate(bound.pairs):
        row, pair = np.nonzero(np.abs(codes[:, pairs[:, 0]] + codes[:, pairs[:, 1]]) > bound.limit)
        if not row.size:
            continue
        a, b = (row, pairs[pair, 0]), (row, pairs[pair, 1])
        sign = np.sign(codes[a])
        share = np.rint((sign * (exact[a] - exact[b]) + bound.limit) / 2)
        share = np.clip(share, bound.limit - bound.largest, bound.largest)
        codes[a], codes[b] = sign * share, sign * (bound.limit - share)
        if index + 1 < len(bound.pairs):
            exact = exact.copy() if exact is x else exact
            exact[a], exact[b] = codes[a], codes[b]
    return np.asarray(codes, np.float32)


def fit_ratio(rows: FloatArray, scale: FloatArray, bound: PairLimit) -> FloatArray:
    """Factor, 1 to 2, that enlarges the scale of each weight row.

    (C,) for rows (C, K) and scales (C,).

    Candidates are compared by the model "uniform rounding noise, s²/12 an element, and half the square of each pair's
    excess"; those next to the best one, the more the shorter the row, and both ends, by their codes.
    """
    ratio = np.ones_like(scale)
    block = max(1, _BLOCK // max(rows.shape[1], 1))
    for at in range(0, len(rows), block):
        part = slice(at, at + block)
        ratio[part] = _fit_block(rows[part], scale[part], bound)
    return ratio


def _fit_block(rows: FloatArray, scale: FloatArray, bound: PairLimit) -> FloatArray:
    x = rows / scale[:, None]
    excess = [_sums_over(x, pairs, bound.limit) for pairs in bound.pairs]
    if bound.is_met_by_any_two:
        over = np.flatnonzero(np.rint(np.abs(x).max(axis=1, initial=0.0)) > bound.largest)
    else:
        over = np.unique(np.concatenate([row for row, _ in excess])) if excess else np.empty(0, int)
    ratio = np.ones_like(scale)
    if not over.size:
        return ratio
    candidates = np.stack(list(_candidates(x[over], _best_of_model(x, excess, bound)[over])))
    together = max(1, _BLOCK // x[over].size)  # a NumPy call costs more than the codes of a small operator
    errors = [
        _errors(x[over], candidates[at : at + together], bound) for at in range(0, len(candidates), together)
    ]
    ratio[over] = candidates[np.concatenate(errors).argmin(axis=0), np.arange(over.size)]
    return ratio


def _candidates(x: FloatArray, best: FloatArray) -> Iterator[FloatArray]:
    """Ratios to try for each row, (C,): the whole interval for short rows, the neighbours of `best` for long ones."""
    count = min(max(_EXACT // x.shape[1], 3), 4 * len(_RATIOS))
    if count >= len(_RATIOS):
        offsets = np.linspace(_RATIOS[0], _RATIOS[-1], count)
        best = np.zeros_like(best)
    else:
        offsets = (np.arange(count) - count // 2) * (_RATIOS[1] - _RATIOS[0])
        yield np.full_like(best, _RATIOS[0])
        yield np.full_like(best, _RATIOS[-1])
    for offset in offsets:
        yield np.clip(best + np.float32(offset), _RATIOS[0], _RATIOS[-1]).astype(np.float32)


def _sums_over(x: FloatArray, pairs: NDArray[np.int64], limit: int) -> tuple[NDArray[np.intp], FloatArray]:
    """(row, sum) of each pair that is over the limit."""
    sums = np.abs(x[:, pairs[:, 0]] + x[:, pairs[:, 1]])
    row, pair = np.nonzero(sums > limit)
    return row, sums[row, pair]


def _best_of_model(
    x: FloatArray, excess: Sequence[tuple[NDArray[np.intp], FloatArray]], bound: PairLimit
) -> FloatArray:
    """The ratio of least error by the model, (C,), for weights in units of the scale."""
    if bound.is_met_by_any_two:
        needed = np.abs(x).max(axis=1, initial=0.0) / bound.largest
        return np.asarray(np.clip(needed, 1.0, _RATIOS[-1]), np.float32)
    best, least = np.ones(len(x), np.float32), np.full(len(x), np.inf)
    for ratio in _RATIOS:
        error = x.shape[1] * ratio**2 / 12
        for row, sums in excess:
            beyond = np.maximum(sums - ratio * bound.limit, 0.0) ** 2 / 2
            error = error + np.bincount(row, beyond, minlength=len(x))
        best = np.where(error < least, ratio, best)
        least = np.minimum(error, least)
    return np.asarray(best, np.float32)


def _errors(x: FloatArray, ratios: FloatArray, bound: PairLimit) -> NDArray[np.float64]:
    """The squared errors of each row's codes for each of its ratios, (n, C), in units of the scale itself."""
    scaled = x / ratios[:, :, None]
    off = limit_codes(scaled.reshape(-1, x.shape[1]), bound).reshape(scaled.shape)
    off = off * ratios[:, :, None] - x
    return np.asarray(np.einsum("nck,nck->nc", off, off, dtype=np.float64))
