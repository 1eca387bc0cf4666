"""Streaming summaries of a tensor, of small and constant size.

Summaries form a commutative monoid: `merge` is associative and commutative, the empty summary is its neutral element,
and `update` merges the summary of one sample. So any split or order of the data gives bit-identical results, and a
sharded or resumed calibration is exact. Three measures make this true in floating point:

* Histogram bins have width 2^k and are anchored at zero. When the range grows, k grows and neighbouring counts are
  added, which is exact: floor(floor(x / 2^j) / 2^(k - j)) = floor(x / 2^k).
* Sums are kept as integers: every float32 is a multiple of 2^-149.
* The moving average depends on the order of the samples, so it takes them in the order of their content keys, a fixed
  shuffle. It forgets quickly (0.9^256 = 2e-12), so the `TAIL` samples with the smallest keys are enough.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["HALF", "TAIL", "Extremes", "Histogram", "Summary"]

HALF = 4096
"""Histogram bins on each side of zero; after the first value, those in use reach at least halfway."""
TAIL = 256
"""Samples that the moving average takes."""

_LOG2_HALF = 12
_SMALLEST_EXPONENT = -149 - _LOG2_HALF
_ULP_EXPONENT = 149  # 2^-149 is the smallest positive float32


class Histogram:
    """Counts of values in bins of width w = 2^exponent.

    Bin i holds [(i - HALF)·w, (i - HALF + 1)·w).
    """

    def __init__(self) -> None:
        self.exponent: int | None = None  # None: empty
        self.counts: NDArray[np.int64] = np.zeros(2 * HALF, np.int64)

    def update(self, values: NDArray[Any]) -> None:
        """Counts `values` (finite, any shape)."""
        if values.size == 0:
            return
        x = values.astype(np.float64).ravel()
        top = max(-float(x.min()), float(x.max()), 0.0)
        if not np.isfinite(top):
            raise ValueError("a histogram holds finite values only")
        self._coarsen(_exponent_for(top))
        assert self.exponent is not None
        x *= 2.0**-self.exponent
        index = np.floor(x, out=x).astype(np.int64)
        index += HALF
        self.counts += np.bincount(index, minlength=2 * HALF)

    def merge(self, other: Histogram) -> None:
        """Adds the counts of `other`."""
        if other.exponent is None:
            return
        self._coarsen(other.exponent)
        assert self.exponent is not None
        self.counts += _coarser(other.counts, self.exponent - other.exponent)

    def _coarsen(self, exponent: int) -> None:
        if self.exponent is None:
            self.exponent = exponent
        elif exponent > self.exponent:
            self.counts = _coarser(self.counts, exponent - self.exponent)
            self.exponent = exponent

    @property
    def width(self) -> float:
        """Bin width; 0.0 while empty."""
        return 0.0 if self.exponent is None else 2.0**self.exponent

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def trimmed(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Edges (n + 1,) and counts (n,) from the first to the last occupied bin.

        N = 0 if empty.
        """
        occupied = np.flatnonzero(self.counts)
        if occupied.size == 0:
            return np.zeros(1), np.zeros(0, np.int64)
        first, last = int(occupied[0]), int(occupied[-1])
        edges = (np.arange(first, last + 2) - HALF) * self.width
        return edges.astype(np.float64), self.counts[first : last + 1]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Histogram)
            and self.exponent == other.exponent
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]


def _exponent_for(top: float) -> int:
    """Smallest k with top < HALF · 2^k."""
    if top == 0.0:
        return _SMALLEST_EXPONENT
    return max(int(np.frexp(top)[1]) - _LOG2_HALF, _SMALLEST_EXPONENT)


def _coarser(counts: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
    """Counts in bins 2^steps times as wide."""
    if steps == 0:
        return counts
    result = np.zeros_like(counts)
    bins = HALF >> min(steps, _LOG2_HALF)  # per side; after 12 steps or more, one per side is left
    result[HALF - bins : HALF + bins] = counts.reshape(2 * bins, -1).sum(axis=1)
    return result


class Extremes(NamedTuple):
    """Extrema of one tensor in one sample, with the sample's content key."""

    key: bytes
    lo: float
    hi: float


@dataclass(eq=True)
class Summary:
    """Statistics of one tensor for all calibration algorithms.

    * `samples`: number of samples; 0 means "not seen yet", which no value stands for
    * `lo`, `hi`: extrema over all elements of all samples
    * `elements`: number of all elements, of which `histogram` counts a deterministic subsample
    * `infinite`: number of elements that are not finite, as of a mask; all other statistics leave them out
    """

    samples: int = 0
    elements: int = 0
    infinite: int = 0
    _lo: float = np.inf
    _hi: float = -np.inf
    _sum_lo: int = 0  # Σ lo, in units of 2^-149
    _sum_hi: int = 0
    _tail: list[Extremes] = field(default_factory=list)  # sorted by key
    histogram: Histogram = field(default_factory=Histogram)

    def update(
        self,
        lo: float,
        hi: float,
        values: NDArray[Any],
        key: bytes,
        elements: int | None = None,
        infinite: int = 0,
    ) -> None:
        """Adds one sample: its extrema, a subsample, and its content key.

        The extrema are float32 numbers. `elements`: number of its finite elements, None if `values` are all of them;
        `infinite`: number of the others.
        """
        if not (np.isfinite(lo) and np.isfinite(hi)):
            raise ValueError(f"extrema must be finite, got [{lo}, {hi}]")
        self.histogram.update(values)
        self.elements += max(values.size, elements or 0)
        self.infinite += infinite
        self._add(1, lo, hi, _exact(lo), _exact(hi))
        bisect.insort(self._tail, Extremes(key, lo, hi))
        del self._tail[TAIL:]

    def merge(self, other: Summary) -> None:
        """Adds all samples of `other`."""
        self.histogram.merge(other.histogram)
        self.elements += other.elements
        self.infinite += other.infinite
        self._add(other.samples, other._lo, other._hi, other._sum_lo, other._sum_hi)
        self._tail = sorted(self._tail + other._tail)[:TAIL]

    def _add(self, samples: int, lo: float, hi: float, sum_lo: int, sum_hi: int) -> None:
        self.samples += samples
        self._lo, self._hi = min(self._lo, lo), max(self._hi, hi)
        self._sum_lo += sum_lo
        self._sum_hi += sum_hi

    @property
    def lo(self) -> float:
        self._require_seen()
        return self._lo

    @property
    def hi(self) -> float:
        self._require_seen()
        return self._hi

    def missed(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Extrema of samples beyond the histogram, and their weights in units of its counts.

        Such values are so rare that the subsample missed them: of a transformer's outliers, there may be one in a
        hundred thousand elements.
        """
        edges, _ = self.histogram.trimmed()
        ends = np.array([end for entry in self._tail for end in (entry.lo, entry.hi)])
        values = ends[(ends < edges[0]) | (ends > edges[-1])]
        share = self.histogram.total / self.elements if self.elements else 0.0
        return values, np.full(len(values), share * self.samples / max(len(self._tail), 1))

    def mean_extrema(self) -> tuple[float, float]:
        """Means over samples of the minimum and of the maximum."""
        self._require_seen()
        unit = self.samples << _ULP_EXPONENT
        return self._sum_lo / unit, self._sum_hi / unit

    def moving_average(self, rate: float = 0.9) -> tuple[float, float]:
        """Bias-corrected moving averages of minimum and maximum.

        PaddleSlim's accum / state: accum = rate · accum + x, state = rate · state + 1, over the samples in key order.
        """
        self._require_seen()
        lo = hi = state = 0.0
        for entry in self._tail:
            lo, hi, state = rate * lo + entry.lo, rate * hi + entry.hi, rate * state + 1.0
        return lo / state, hi / state

    @property
    def tail(self) -> tuple[Extremes, ...]:
        """Extrema of the samples that the moving average takes, by key."""
        return tuple(self._tail)

    def to_header(self) -> dict[str, Any]:
        """Statistics other than arrays, for JSON; `from_header` reads them."""
        return {
            "samples": self.samples,
            "elements": self.elements,
            "infinite": self.infinite,
            "lo": self._lo if self.samples else None,
            "hi": self._hi if self.samples else None,
            "sum_lo": str(self._sum_lo),
            "sum_hi": str(self._sum_hi),
            "tail": len(self._tail),
            "exponent": self.histogram.exponent,
        }

    @classmethod
    def from_header(cls, header: dict[str, Any], tail: list[Extremes], histogram: Histogram) -> Summary:
        """Summary from its header and arrays.

        Raises KeyError, TypeError or ValueError for a damaged header.
        """
        samples, elements, infinite = (int(header[key]) for key in ("samples", "elements", "infinite"))
        summary = cls(samples, elements, infinite, _tail=tail, histogram=histogram)
        if summary.samples:
            summary._lo, summary._hi = float(header["lo"]), float(header["hi"])
        summary._sum_lo, summary._sum_hi = int(header["sum_lo"]), int(header["sum_hi"])
        return summary

    def contradiction(self) -> str | None:
        """Contradiction between the numbers that no samples can produce; None if there is none."""
        counts, exponent, tail = self.histogram.counts, self.histogram.exponent, self._tail
        occupied = np.flatnonzero(counts)
        if self.samples < 1 or min(self.elements, self.infinite, int(counts.min())) < 0:
            return "a number of samples or elements is negative or zero"
        if not (_is_float32(self._lo) and _is_float32(self._hi) and self._lo <= self._hi):
            return f"the extrema are {self._lo} and {self._hi}"
        if self.histogram.total > self.elements or (exponent is None) != (occupied.size == 0):
            return f"{self.histogram.total} of {self.elements} elements are counted"
        if occupied.size:
            first, last = int(occupied[0]) - HALF, int(occupied[-1]) - HALF
            if type(exponent) is not int or not _SMALLEST_EXPONENT <= exponent <= 128 - _LOG2_HALF:
                return f"bins of width 2^{exponent}"
            ends = math.floor(self._lo / self.histogram.width), math.floor(self._hi / self.histogram.width)
            if not ends[0] <= first <= last <= ends[1]:
                return "values are counted outside the extrema"
            if exponent > _SMALLEST_EXPONENT and max(last, -first) < HALF // 2:
                return "the bins are wider than the values need"
        if len(tail) != min(self.samples, TAIL) or tail != sorted(tail):
            return f"{len(tail)} of {self.samples} samples are kept, or not in order"
        return self._contradicting_extrema()

    def _contradicting_extrema(self) -> str | None:
        los, his = ([_exact(e.lo) for e in self._tail], [_exact(e.hi) for e in self._tail])
        lo, hi = _exact(self._lo), _exact(self._hi)
        if not all(lo <= low <= high <= hi for low, high in zip(los, his, strict=True)):
            return "a sample's extrema lie outside those of all"
        others = self.samples - len(self._tail)
        if others == 0 and (min(los), max(his)) != (lo, hi):
            return "no sample has the extrema of all"
        for extrema, total in ((los, self._sum_lo), (his, self._sum_hi)):
            if not others * lo <= total - sum(extrema) <= others * hi:
                return "the sums of the extrema are not those of the samples"
        return None

    def _require_seen(self) -> None:
        if self.samples == 0:
            raise ValueError("the tensor was not seen in calibration")


def _is_float32(x: float) -> bool:
    return bool(abs(x) <= np.finfo(np.float32).max) and float(np.float32(x)) == x


def _exact(x: float) -> int:
    """float32 number x as a multiple of 2^-149."""
    return int(x * 2.0**_ULP_EXPONENT)
