"""Distances between arrays: SQNR and cosine, without the elements that are masks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyint.numbers.numerics import Array

__all__ = ["MASK", "NoiseSum", "are_values", "blocks", "cosine", "widened"]

MASK = 1e30
"""A magnitude of this or more, infinity included, is a mask (of attention, say) and not a value."""
_HALF_MAX = float(np.finfo(np.float16).max)
_BLOCK = 1 << 18


def are_values(array: Array) -> NDArray[np.bool_]:
    """Elements that are values: finite, and smaller than `MASK`."""
    return np.asarray(np.abs(array) < MASK)


def cosine(a: Array, b: Array) -> float:
    """Cosine of the angle between two arrays of the same shape, without masks.

    It is 1 for two zero arrays, and 0 for a zero array and another one.
    """
    product = square_a = square_b = 0.0
    for x, y in blocks(a, b):
        selection = are_values(x) & are_values(y)
        u, v = x[selection], y[selection]
        product, square_a, square_b = product + float(u @ v), square_a + float(u @ u), square_b + float(v @ v)
    if square_a == 0.0 or square_b == 0.0:
        return 1.0 if square_a == square_b else 0.0
    return min(1.0, max(-1.0, product / (math.sqrt(square_a) * math.sqrt(square_b))))


@dataclass(kw_only=True)
class NoiseSum:
    """Signal and noise energy summed over any number of arrays, without masks.

    `count`: number of values; `total`: their sum.
    """

    signal: float = 0.0
    noise: float = 0.0
    count: int = 0
    total: float = 0.0

    def add(self, reference: Array, value: Array) -> None:
        """Adds a pair of arrays.

        An infinity where the reference has a value makes the noise infinite.
        """
        for r, v in blocks(reference, value):
            selection = are_values(r)
            r, v = r[selection], v[selection]
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
        """10·log10(signal / noise): inf without noise, -inf without signal."""
        return _db(self.signal, self.noise)

    @property
    def constant_db(self) -> float:
        """SQNR of the best constant, the mean of the reference.

        It is signal / (Σx² - (Σx)²/n), in dB.
        """
        if not self.count:
            return math.inf
        return _db(self.signal, max(self.signal - self.total**2 / self.count, 0.0))


def _db(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    ratio = signal / noise
    return 10.0 * math.log10(ratio) if ratio > 0 else -math.inf


def blocks(a: Array, b: Array) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Parts of two arrays of the same shape, flat and in float64.

    In parts, because a float64 copy of the whole would take several times the memory.
    """
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)
    for start in range(0, flat_a.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        yield widened(flat_a[part]), widened(flat_b[part])


def widened(array: Array) -> NDArray[np.float64]:
    """Array in float64; the largest magnitudes of float16, which serve as masks, become infinite."""
    wide = array.astype(np.float64)
    return (
        np.where(np.abs(wide) >= _HALF_MAX, np.copysign(np.inf, wide), wide)
        if array.dtype == np.float16
        else wide
    )
