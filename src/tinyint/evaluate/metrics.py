"""How good an output is: pure functions of arrays, and sums that grow by one sample at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyint.numerics import Array

__all__ = [
    "MASK",
    "NoiseSum",
    "are_values",
    "blocks",
    "cosine",
    "f1_scores",
    "iou_scores",
    "mean_defined",
    "rank_of",
    "top_k",
    "widened",
]

MASK = 1e30
"""From here on, infinities included, a magnitude is a mask ("never this one"), and not a value."""
_HALF_MAX = float(np.finfo(np.float16).max)
_BLOCK = 1 << 18


def are_values(array: Array) -> NDArray[np.bool_]:
    """Which elements are values: finite, and no masks."""
    return np.asarray(np.abs(array) < MASK)


def top_k(logits: ArrayLike, labels: ArrayLike, k: int) -> NDArray[np.bool_]:
    """For each row of `logits` (N, classes), whether its label, `labels` (N,), is among the k highest; shape (N,)."""
    return rank_of(logits, labels) < k


def rank_of(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """The place of each row's label, from 0, when the classes of `logits` (N, classes) are sorted downward; (N,).

    Of equal logits the lower class comes first, as with argmax, so that the result does not hang on the sorting.
    NaN counts as the lowest.
    """
    scores, classes = np.asarray(logits), np.asarray(labels, np.int64)
    if np.issubdtype(scores.dtype, np.floating):
        scores = np.where(np.isnan(scores), -np.inf, scores)
    own = np.take_along_axis(scores, classes[:, None], axis=1)
    lower = np.arange(scores.shape[1]) < classes[:, None]
    ahead = (scores > own) | ((scores == own) & lower)
    return np.asarray(ahead.sum(axis=1), np.int64)


def f1_scores(hits: Array, predicted: Array, labelled: Array) -> NDArray[np.float64]:
    """2·hits / (predicted + labelled) by class: the harmonic mean of precision and recall; NaN for 0 / 0.

    The arrays, of one shape, count by class what is right, what was predicted and what there is.
    """
    return _ratio(2.0 * hits, predicted + labelled)


def iou_scores(hits: Array, predicted: Array, labelled: Array) -> NDArray[np.float64]:
    """hits / (predicted + labelled - hits) by class: intersection over union (Jaccard's index); NaN for 0 / 0."""
    return _ratio(hits, predicted + labelled - hits)


def mean_defined(scores: Array) -> NDArray[np.float64]:
    """The mean of the last axis over what is not NaN; NaN where all is."""
    defined = ~np.isnan(scores)
    return _ratio(np.where(defined, scores, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _ratio(part: Array, whole: Array) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.divide(
        part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0
    )
    return found


def cosine(a: Array, b: Array) -> float:
    """The cosine of the angle between two arrays of one shape, over the elements that are values in both.

    Two zero arrays are equal, 1; a zero array and another one have nothing in common, 0.
    """
    product = square_a = square_b = 0.0
    for x, y in blocks(a, b):
        kept = are_values(x) & are_values(y)
        u, v = x[kept], y[kept]
        product, square_a, square_b = product + float(u @ v), square_a + float(u @ u), square_b + float(v @ v)
    if square_a == 0.0 or square_b == 0.0:
        return 1.0 if square_a == square_b else 0.0
    return min(1.0, max(-1.0, product / (math.sqrt(square_a) * math.sqrt(square_b))))


@dataclass(kw_only=True)
class NoiseSum:
    """Signal and noise energy of a tensor, over any number of arrays; masks of the reference are left out.

    `count`: of the values, `total`: their sum.
    """

    signal: float = 0.0
    noise: float = 0.0
    count: int = 0
    total: float = 0.0

    def add(self, reference: Array, value: Array) -> None:
        """Where the reference has a value, an infinity makes the noise infinite."""
        for r, v in blocks(reference, value):
            kept = are_values(r)
            r, v = r[kept], v[kept]
            with np.errstate(over="ignore"):
                self.noise += float(np.square(r - v).sum())
            self.signal += float(np.square(r).sum())
            self.count += r.size
            self.total += float(r.sum())

    def merge(self, other: NoiseSum) -> None:
        self.signal += other.signal
        self.noise += other.noise
        self.count += other.count
        self.total += other.total

    @property
    def sqnr_db(self) -> float:
        """10·log10(signal / noise): inf if there is no noise, -inf if there is nothing else."""
        return _db(self.signal, self.noise)

    @property
    def constant_db(self) -> float:
        """The SQNR of a constant, the mean of the reference: signal / variance, the variance being Σx² - (Σx)²/n."""
        if not self.count:
            return math.inf
        return _db(self.signal, max(self.signal - self.total**2 / self.count, 0.0))


def _db(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    ratio = signal / noise
    return 10.0 * math.log10(ratio) if ratio > 0 else -math.inf


def blocks(a: Array, b: Array) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Two arrays of one shape, flat and in float64, a piece at a time: a copy of the whole would double the memory."""
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)
    for start in range(0, flat_a.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        yield widened(flat_a[part]), widened(flat_b[part])


def widened(array: Array) -> NDArray[np.float64]:
    """In float64; the ends of float16, its masks, become infinite."""
    wide = array.astype(np.float64)
    return (
        np.where(np.abs(wide) >= _HALF_MAX, np.copysign(np.inf, wide), wide)
        if array.dtype == np.float16
        else wide
    )
