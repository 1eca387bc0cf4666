"""Ranges that lose the least information, by the Kullback-Leibler divergence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyint.numbers.scheme import Scheme
from tinyint.quantization.ranges.bins import Counts, Edges, first_bin
from tinyint.quantization.ranges.search import NO_POINTS, Points, quantization_error

_MOST = 1.5  # 1.8 dB; up to 3 where a histogram does not tell where in a bin the values are


def kl_range(
    edges: Edges, counts: Counts, outer: tuple[float, float], scheme: Scheme, missed: Points = NO_POINTS
) -> tuple[float, float]:
    """±T within `outer`, with the T that loses least information.

    See `kl_bound`; of those that do not cut too much.

    The mean square of what is cut and rounded stays close to that under the full range (`_MOST`). The divergence alone
    knows no distances: of data away from zero it prefers a range that none of them is in, whose one level holds them
    all. `missed` are values beyond the histogram, and their weights.

    The histogram is folded to |x|. Of the codes, those on the longer side of zero are the levels: 128 for
    signed symmetric schemes, 256 for one-sided data in others, and for lopsided data (SiLU) the share of the
    longer side. The shorter side of lopsided data ends before T most of the time.
    """
    full = quantization_error(edges, counts, outer, scheme, missed=missed)
    folded, width = _folded(edges, counts), float(edges[1] - edges[0])
    codes = scheme.qtype.qmax - scheme.qtype.qmin + 1
    if scheme.symmetric and (scheme.qtype.signed or edges[0] < 0):
        levels = (codes + 1) // 2
    else:
        span = max(float(edges[-1]), 0.0) - min(float(edges[0]), 0.0)
        levels = max(round(codes * len(folded) * width / span), codes // 2)
    bound = kl_bound(folded, levels, _narrowest(folded, width, missed, full)) * width
    found = max(-bound, outer[0]), min(bound, outer[1])
    # a value that many share may be off the new steps where it was on the old ones
    worse = quantization_error(edges, counts, found, scheme, missed=missed) > _MOST * full
    return outer if worse else found


def _folded(edges: Edges, counts: Counts) -> Counts:
    """The histogram of |x|."""
    first = first_bin(edges)
    last = first + len(counts)
    folded = np.zeros(max(-first, last), np.int64)
    positive = counts[max(0, -first) :]
    folded[max(0, first) : max(0, first) + len(positive)] += positive
    negative = counts[: max(0, -first)][::-1]
    folded[max(0, -last) : max(0, -last) + len(negative)] += negative
    return folded


def _narrowest(folded: Counts, width: float, missed: Points, full: float) -> int:
    """Least number of bins within the allowed error.

    The least number for which cutting and rounding cost at most `_MOST` times the mean square `full`, which rounding
    alone costs with all of them.
    """
    bins = np.arange(len(folded) + 1.0)
    x, weights = np.abs(missed[0]) / width, missed[1]
    centre = bins[:-1] + 0.5
    # Σ w·(x - T)² over x > T, from the moments of what lies beyond T
    zeroth, first, second = (
        np.append(np.cumsum((folded * centre**k)[::-1])[::-1], 0.0) + (weights * x**k).sum() for k in range(3)
    )
    cut = (second - 2 * bins * first + bins**2 * zeroth) * width**2 / (folded.sum() + weights.sum())
    rounded = full * (bins / max(len(folded), *x, 1.0)) ** 2
    enough = cut + rounded <= _MOST * full
    enough[-1] = True
    return int(np.argmax(enough))


def kl_bound(folded: Counts, levels: int, narrowest: int = 0) -> int:
    """Number of bins of |x| to keep for the least KL(P ‖ Q).

    Every number of bins >= `levels` and `narrowest` is tried.

    Migacz, 8-bit Inference with TensorRT (GTC 2017). P is the kept bins, with the clipped mass in the last of
    them. Q is the kept bins without it, merged into `levels` levels and spread evenly over the non-empty bins
    of each. The first bin is taken like the second, since a ReLU's zeros are no information. Prefix sums make
    one candidate O(levels) instead of O(bins): Σ p·log(p / q) = Σ p·log p - Σ_level m·log(m / n) - clipped·log
    q_last, where m is a level's mass, n its non-empty bins.
    """
    p = folded.astype(np.float64)
    p[0] = p[1] if len(p) > 1 else p[0]
    total = p.sum()
    if len(p) <= levels or total == 0.0:
        return len(p)
    # 1024 candidates or more of a full histogram, the widest range among them
    candidates = np.arange(len(p), max(levels, narrowest) - 1, -max(1, len(p) // 1024))[::-1]
    plogp = np.concatenate([[0.0], np.cumsum(p * np.log(np.maximum(p, 1.0)))])
    mass = np.concatenate([[0.0], np.cumsum(p)])
    filled = np.concatenate([[0.0], np.cumsum(p > 0)])
    divergence = np.concatenate(
        [
            _divergences(candidates[start : start + 256], p, plogp, mass, filled, levels)
            for start in range(0, len(candidates), 256)
        ]
    )
    # of equals, the widest range
    return int(candidates[::-1][np.argmin(divergence[::-1])])


def _divergences(
    kept: NDArray[np.int64], p: Edges, plogp: Edges, mass: Edges, filled: Edges, levels: int
) -> NDArray[np.float64]:
    """KL(P ‖ Q) per number of kept bins.

    inf where Q has nothing in the bin that takes the clipped mass.
    """
    starts = (kept[:, None] * np.arange(levels + 1)) // levels
    m = np.diff(mass[starts], axis=1)
    mean = m / np.maximum(np.diff(filled[starts], axis=1), 1.0)
    clipped = mass[-1] - mass[kept]
    end = p[kept - 1]
    taken = end + clipped
    # p is a count, hence 0 or >= 1: max(p, 1) makes 0·log 0 = 0
    p_log_p = plogp[kept - 1] + taken * np.log(np.maximum(taken, 1.0))
    log_q = np.log(np.maximum(mean, 1e-300))
    p_log_q = np.einsum("kl,kl->k", m, log_q) + clipped * log_q[:, -1]
    inside = np.maximum(mass[kept], 1e-300)
    divergence = (p_log_p - p_log_q) / mass[-1] - np.log(mass[-1]) + np.log(inside)
    return np.where((end == 0) & (clipped > 0), np.inf, divergence)
