"""Histograms for range algorithms: `(edges, counts)`, shapes (n + 1,) and (n,).

Bins are of equal width, and zero is on the grid of edges, be it within them or not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyint.numbers.numerics import FloatArray

Edges = NDArray[np.float64]
Counts = NDArray[np.int64]

_GOLDEN = 0.6180339887498949


def first_bin(edges: Edges) -> int:
    """The number of the first bin, where bin 0 begins at zero."""
    return round(float(edges[0] / (edges[1] - edges[0])))


def points(
    edges: Edges, counts: Counts, outer: tuple[float, float], most: int
) -> tuple[FloatArray, NDArray[np.float64]]:
    """At most `most` weighted values that represent the histogram.

    A value at the centre of each bin would beat against the steps of the quantizer where these are about as
    narrow as a bin, so values stand at golden-ratio offsets. The bin that begins at zero holds the zeros of a
    ReLU and stands for exactly zero.
    """
    occupied = np.flatnonzero(counts)
    index = occupied + first_bin(edges)
    offset = np.where(index == 0, 0.0, (index * _GOLDEN) % 1.0)
    values = np.clip((index + offset) * (edges[1] - edges[0]), *outer)
    weights = counts[occupied].astype(np.float64)
    group, width = index, 1
    starts = np.arange(len(index))
    while len(starts) > most:
        width *= 2
        group = index // width
        starts = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    mass = np.add.reduceat(weights, starts)
    return (np.add.reduceat(values * weights, starts) / mass).astype(np.float32), mass
