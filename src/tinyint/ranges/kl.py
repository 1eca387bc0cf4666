"""Ranges that lose the least information, by the Kullback-Leibler divergence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyint.ranges.bins import Counts, Edges, first_bin
from tinyint.scheme import Scheme


def kl_range(edges: Edges, counts: Counts, scheme: Scheme) -> tuple[float, float]:
    """±T with the T that loses least information; see `kl_bound`.

    The histogram is folded to |x|. Of the codes, those on the longer side of zero are the levels: 128 for
    signed symmetric schemes, 256 for one-sided data in others, and for lopsided data (SiLU) the share of the
    longer side. The shorter side of lopsided data ends before T most of the time, and is cut to its extremum by
    `find_range`.
    """
    first, width = first_bin(edges), float(edges[1] - edges[0])
    last = first + len(counts)
    folded = np.zeros(max(-first, last), np.int64)
    positive = counts[max(0, -first) :]
    folded[max(0, first) : max(0, first) + len(positive)] += positive
    negative = counts[: max(0, -first)][::-1]
    folded[max(0, -last) : max(0, -last) + len(negative)] += negative
    codes = scheme.qtype.qmax - scheme.qtype.qmin + 1
    if scheme.symmetric and (scheme.qtype.signed or first < 0):
        levels = (codes + 1) // 2
    else:
        levels = max(round(codes * len(folded) / (max(last, 0) - min(first, 0))), codes // 2)
    bound = kl_bound(folded, levels) * width
    return -bound, bound


def kl_bound(folded: Counts, levels: int) -> int:
    """How many bins of a histogram of |x| to keep, so that KL(P ‖ Q) is least; every number of bins >= `levels`
    is tried.

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
    candidates = np.arange(len(p), levels - 1, -max(1, len(p) // 1024))[::-1]
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
    """KL(P ‖ Q) for each number of kept bins; inf where Q has nothing in the bin that takes the clipped mass."""
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
