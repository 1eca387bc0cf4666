"""Packing of weights: the positions whose products a kernel adds in pairs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANY_TWO", "Packing", "Pairs", "pairs_of"]

Pairs = NDArray[np.int64]
"""Positions in a flattened filter whose products are added, (P, 2); none occurs twice."""


class Packing(StrEnum):
    """Order of a filter's weights (inputs, *kernel) in a kernel that adds neighbours.

    `tests/runtimes/facts/test_pair_sums.py` finds it by planting the largest weights at every two positions.
    """

    FLAT = "flat"  # all inputs of the first kernel position, then those of the next
    BY_POSITION = "by position"  # the same, each position padded to an even number of inputs
    COLUMNS = "columns"  # filters of one input only: flat, with the kernel's axes reversed

    def order(self, inputs: int, kernel: tuple[int, ...]) -> NDArray[Any]:
        """Positions in the flattened filter, in the kernel's order; -1 for padding."""
        positions = np.arange(inputs * int(np.prod(kernel))).reshape(inputs, *kernel)
        if self is Packing.COLUMNS:
            return positions.T.reshape(-1) if inputs == 1 else np.empty(0, int)
        by_position = positions.reshape(inputs, -1).T
        if self is Packing.BY_POSITION and inputs % 2:
            by_position = np.pad(by_position, ((0, 0), (0, 1)), constant_values=-1)
        return by_position.reshape(-1)


ANY_TWO: tuple[Packing, ...] = ()
"""Packings of a kernel whose order is unknown: the products of any two weights may be added."""


def pairs_of(packings: tuple[Packing, ...], inputs: int, kernel: tuple[int, ...]) -> tuple[Pairs, ...]:
    """Pairs under each of these packings; equal sets of pairs only once."""
    distinct: dict[bytes, Pairs] = {}
    for packing in packings:
        order = packing.order(inputs, kernel)
        pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
        pairs = np.sort(pairs[(pairs >= 0).all(axis=1)], axis=1)
        pairs = pairs[np.argsort(pairs[:, 0])]
        if len(pairs):
            distinct.setdefault(pairs.tobytes(), pairs)
    return tuple(distinct.values())
