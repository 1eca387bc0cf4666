"""Ranges that leave out a given share of the values."""

from __future__ import annotations

import numpy as np

from tinyint.quantization.ranges.bins import Counts, Edges, first_bin


def percentile_range(edges: Edges, counts: Counts, percentile: float) -> tuple[float, float]:
    """The (100 - percentile)-th and the percentile-th percentile, interpolated within a bin.

    Wu et al., Integer Quantization for Deep Learning Inference (2020), §4, but on both sides instead of on |x|.
    The bin that begins at zero is left out: zero is exact in any range, so the zeros of a ReLU must not outvote
    the rest.
    """
    weights = np.where(first_bin(edges) + np.arange(len(counts)) == 0, 0, counts)
    if not weights.any():
        weights = counts
    tail = 1 - percentile / 100
    return _quantile(edges, weights, tail), -_quantile(-edges[::-1], weights[::-1], tail)


def _quantile(edges: Edges, weights: Counts, share: float) -> float:
    """The value below which `share` of the weights lie; of an empty stretch, its upper end."""
    reached = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
    bin_ = min(int(np.searchsorted(reached, share, side="right")), len(weights)) - 1
    inside = (share - reached[bin_]) / (reached[bin_ + 1] - reached[bin_])
    return float(edges[bin_] + inside * (edges[bin_ + 1] - edges[bin_]))
