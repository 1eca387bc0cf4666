"""Range algorithms: from a tensor's summary to the range [lo, hi].

A range that keeps every value is coarse for the many small ones; a narrow one clips the few large ones. Each
algorithm is a pure function that settles this trade in its own way. A range always holds zero, and reaches no
further than the exact extrema. Abs-max alone does: a range symmetric about zero is what it means, unless the data
are on one side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinyint.numbers.observers import Summary
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.ranges.kl import kl_bound, kl_range
from tinyint.quantization.ranges.percentile import percentile_range
from tinyint.quantization.ranges.search import emd_range, mse_range, quantization_error
from tinyint.quantization.ranges.weights import weight_range

__all__ = [
    "Algorithm",
    "RangeMethod",
    "absmax_range",
    "emd_range",
    "find_range",
    "kl_bound",
    "kl_range",
    "mse_range",
    "percentile_range",
    "quantization_error",
    "weight_range",
]

Algorithm = Literal["minmax", "absmax", "moving_average", "average", "percentile", "mse", "kl", "emd"]


@dataclass(frozen=True, kw_only=True)
class RangeMethod:
    """Range algorithm and its parameter.

    `percentile` for "percentile", `norm` (the p of L_p) for "mse".
    """

    algorithm: Algorithm
    percentile: float = 99.99
    norm: float = 2.0


def find_range(
    summary: Summary, method: RangeMethod, scheme: Scheme, live: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Range [lo, hi], lo <= 0 <= hi, of one tensor.

    The summary must have seen a sample. `live`: range outside which values count as its ends. A range that begins or
    ends there goes half a step beyond, so that its last code stands for no value inside.

    A subsample of zeros alone says nothing about the rest, and then the range is that of "minmax".
    """
    outer = min(summary.lo, 0.0), max(summary.hi, 0.0)
    if live is not None:
        within = max(outer[0], live[0]), min(outer[1], live[1])
        lo, hi = _found(summary, method, scheme, within)
        half = (hi - lo) / (2 * (scheme.qtype.qmax - scheme.qtype.qmin))
        return (
            max(outer[0], lo - half) if lo == live[0] else lo,
            min(outer[1], hi + half) if hi == live[1] else hi,
        )
    return _found(summary, method, scheme, outer)


def _found(
    summary: Summary, method: RangeMethod, scheme: Scheme, outer: tuple[float, float]
) -> tuple[float, float]:
    if outer == (0.0, 0.0) or method.algorithm == "minmax":
        return outer
    if method.algorithm == "absmax":
        return absmax_range(*outer)
    if method.algorithm == "moving_average":
        return _within(outer, summary.moving_average())
    if method.algorithm == "average":
        return _within(outer, summary.mean_extrema())
    values, weights = summary.missed()
    missed = np.clip(values, *outer), weights
    edges, counts = summary.histogram.trimmed()
    if len(counts) == 0 or (len(counts) == 1 and edges[0] == 0.0):
        return outer
    match method.algorithm:
        case "percentile":
            found = percentile_range(edges, counts, method.percentile)
        case "mse":
            found = mse_range(edges, counts, outer, scheme, method.norm, missed)
        case "emd":
            found = emd_range(edges, counts, outer, scheme, missed)
        case "kl":
            found = kl_range(edges, counts, outer, scheme, missed)
        case _:
            raise ValueError(f"unknown algorithm {method.algorithm!r}")
    return _within(outer, found)


def _within(outer: tuple[float, float], found: tuple[float, float]) -> tuple[float, float]:
    return max(outer[0], min(found[0], 0.0)), min(outer[1], max(found[1], 0.0))


def absmax_range(lo: float, hi: float) -> tuple[float, float]:
    """[-m, m] with m = max(|lo|, |hi|), or the occupied half of it.

    The half, if the data are on one side of zero.
    """
    bound = max(-lo, hi)
    return (-bound if lo < 0 else 0.0), (bound if hi > 0 else 0.0)
