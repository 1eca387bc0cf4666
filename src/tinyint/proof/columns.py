"""Comparison of outputs by columns: boxes in pixels drown scores.

Where both are in one output.

The columns of an output are those of its last axis, or of its second one where that is the shorter of the two. They
form groups by magnitude: of columns in the order of their largest elements, one that is 8 times smaller (three of eight
bits) than the one before it begins a group of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinyint.numbers.distance import NoiseSum, are_values, widened
from tinyint.numbers.numerics import Array

__all__ = ["ColumnSums", "Columns"]

_MOST = 128
"""Columns of a row; with more, they are classes or features, which are of one kind."""
_APART = 8.0
_UNLIKELY = 0.05
"""Scores that never exceed this say "not there", and may become 0."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Group of columns of an output, and its distance to float.

    `peak`: its largest magnitude.
    """

    columns: tuple[int, ...]
    peak: float
    sqnr_db: float
    constant_db: float

    def __str__(self) -> str:
        """ "columns 4-8, up to 0.98" """
        spans = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in _runs(self.columns)]
        what = "columns" if len(self.columns) > 1 else "column"
        return f"{what} {', '.join(spans)}, up to {self.peak:.2g}"


@dataclass(kw_only=True)
class ColumnSums:
    """Sums by column, (C,) each, over any number of arrays of one rank."""

    noise: list[NoiseSum] = field(default_factory=list)
    lowest: list[float] = field(default_factory=list)
    highest: list[float] = field(default_factory=list)

    def add(self, expected: Array, actual: Array) -> None:
        """Adds arrays of one shape; without columns, or over 128, skipped."""
        axis = _axis(expected)
        if axis is None:
            return
        for column in range(expected.shape[axis]):
            if column == len(self.noise):
                self.noise.append(NoiseSum())
                self.lowest.append(np.inf)
                self.highest.append(-np.inf)
            ours, theirs = (np.take(array, column, axis) for array in (expected, actual))
            self.noise[column].add(ours, theirs)
            wide = widened(ours)
            values = wide[are_values(wide)]
            self.lowest[column] = min(self.lowest[column], float(values.min(initial=np.inf)))
            self.highest[column] = max(self.highest[column], float(values.max(initial=-np.inf)))

    def worst(self) -> Columns | None:
        """The group that is farthest off; None where all columns are of one magnitude."""
        groups = [self._group(columns) for columns in self._grouped()]
        if len(groups) < 2:
            return None
        return min((g for g in groups if not self._is_unlikely(g)), key=lambda g: g.sqnr_db, default=None)

    def _peaks(self) -> NDArray[np.float64]:
        return np.maximum(-np.array(self.lowest, np.float64), np.array(self.highest, np.float64))

    def _grouped(self) -> list[list[int]]:
        peaks = self._peaks()
        groups: list[list[int]] = []
        for column in np.argsort(-peaks, kind="stable").tolist():
            if peaks[column] <= 0:  # zeros only, or no values at all
                continue
            if not groups or peaks[groups[-1][-1]] > _APART * peaks[column]:
                groups.append([])
            groups[-1].append(column)
        return groups

    def _group(self, columns: list[int]) -> Columns:
        total = NoiseSum()
        for column in columns:
            total.merge(self.noise[column])
        peak = float(self._peaks()[columns].max())
        return Columns(
            columns=tuple(sorted(columns)), peak=peak, sqnr_db=total.sqnr_db, constant_db=total.constant_db
        )

    def _is_unlikely(self, group: Columns) -> bool:
        return group.peak < _UNLIKELY and all(self.lowest[column] >= 0 for column in group.columns)


def _axis(array: Array) -> int | None:
    if array.ndim < 2:
        return None
    axis = 1 if array.ndim > 2 and array.shape[1] < array.shape[-1] else array.ndim - 1
    return axis if 2 <= array.shape[axis] <= _MOST else None


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Numbers in order, cut where one is missing."""
    keyed = itertools.groupby(enumerate(numbers), key=lambda item: item[1] - item[0])
    return [[number for _, number in run] for _, run in keyed]
