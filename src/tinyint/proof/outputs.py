"""One output over samples: float beside int8 beside the simulation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinyint.numbers.distance import NoiseSum, are_values, blocks, cosine, widened
from tinyint.numbers.numerics import Array
from tinyint.numbers.observers import Histogram
from tinyint.proof.columns import ColumnSums
from tinyint.proof.rows import RowSums

__all__ = ["NOTHING", "OutputSums"]

NOTHING = np.empty((0,) * 9, np.float32)
"""In place of the element of a sequence that the other model's is too short for: like no other shape."""

_NEXT_CODE = 1.5
"""LSB within which two multiples of the LSB in float32 are at most 1 apart."""
_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(kw_only=True)
class OutputSums:
    """Sums of one output, with its `step` (LSB) and `selects`.

    `step` if its own quantizer sets it; `selects`: whether its rows are a selection.

    * `unlike`: samples in which the shapes differ, which nothing else counts
    * `selected`: the rows of a selection, which no figure that goes by place counts
    """

    step: float | None
    selects: bool = False
    is_float: bool = True
    samples: int = 0
    unlike: int = 0
    selected: RowSums = field(default_factory=RowSums)
    noise: NoiseSum = field(default_factory=NoiseSum)
    simulated_noise: NoiseSum = field(default_factory=NoiseSum)
    columns: ColumnSums = field(default_factory=ColumnSums)
    elements: int = 0
    equal: int = 0
    classified: int = 0  # rows of (N, classes) that have a highest class
    agreeing: int = 0
    embeddings: int = 0
    rows: int = 0
    cosine_sum: float = 0.0
    cosine_min: float = 1.0
    deviations: Histogram = field(default_factory=Histogram)
    deviation_max: float = 0.0
    apart: Histogram = field(
        default_factory=Histogram
    )  # by which the highest two differ, of rows that do not agree
    compared: int = 0  # elements that the simulation has too
    different: int = 0  # elements of an integer output, or more than 1 LSB where the LSB is known beforehand
    lo: float = 0.0  # of the simulation; zero is in the range of every quantizer
    hi: float = 0.0

    def add(self, expected: Array, actual: Array, simulated: Array | None) -> None:
        """Adds one sample; `simulated` is None where the simulation itself ran."""
        self.is_float = expected.dtype.kind == "f"
        self.samples += 1
        alike = expected.shape == actual.shape
        self.unlike += not alike
        if self.selects and expected.dtype.kind in "fiu":
            self.selected.add(expected, actual)
        elif alike:
            self.elements += actual.size
            if self.is_float:
                self._add_float(expected, actual)
            else:
                self.equal += int(np.count_nonzero(expected == actual))
        if simulated is None or simulated.shape != actual.shape or self.selects:
            return
        if self.is_float and alike:
            self.simulated_noise.add(expected, simulated)
        self.compared += actual.size
        self._add_deviation(actual, simulated)

    def _add_float(self, expected: Array, actual: Array) -> None:
        self.noise.add(expected, actual)
        self.columns.add(expected, actual)
        if expected.ndim < 2 or expected[:1].size < 2:
            return
        if expected.ndim == 2:
            highest = are_values(widened(expected.max(axis=1)))
            same = expected.argmax(axis=1) == actual.argmax(axis=1)
            self.classified += int(np.count_nonzero(highest))
            self.agreeing += int(np.count_nonzero(same & highest))
            second, first = np.partition(widened(expected[~same & highest]), -2, axis=1)[:, -2:].T
            gap = first - second
            self.apart.update(gap[are_values(gap)])
            self.embeddings += int(np.count_nonzero(_are_embeddings(expected)))
        for ours, theirs in zip(expected, actual, strict=True):
            if not are_values(widened(ours)).any():
                continue
            value = cosine(ours, theirs)
            self.rows += 1
            self.cosine_sum += value
            self.cosine_min = min(self.cosine_min, value)

    def _add_deviation(self, actual: Array, simulated: Array) -> None:
        if not self.is_float:
            self.different += int(np.count_nonzero(actual != simulated))
            return
        for a, s in blocks(actual, simulated):
            kept = are_values(a) & are_values(s)
            self.different += int(np.count_nonzero(a[~kept] != s[~kept]))
            distance = np.abs(a[kept] - s[kept])
            if not distance.size:
                continue
            self.deviation_max = max(self.deviation_max, float(distance.max()))
            if self.step is not None:
                # Both are multiples of the step, but for the rounding of float32.
                self.different += int(np.count_nonzero(np.rint(distance / self.step) > 1))
            else:
                self.deviations.update(distance.astype(np.float32))
                self.lo, self.hi = min(self.lo, float(s[kept].min())), max(self.hi, float(s[kept].max()))

    @property
    def has_classes(self) -> bool:
        """Whether rows were compared by their highest class, and are no embeddings."""
        return self.classified > 0 and self.embeddings < self.rows

    @property
    def judged(self) -> bool:
        """Whether anything was found that says how far the output is from float."""
        return bool(self.selected.rows or (self.noise.count if self.is_float else self.elements))

    def lsb(self) -> float:
        return self.step if self.step is not None else max((self.hi - self.lo) / 255, _SMALLEST)

    def ties(self) -> int:
        """Rows of another highest class, the reference's top two within 1 LSB."""
        edges, counts = self.apart.trimmed()
        return int(counts[edges[:-1] <= (_NEXT_CODE if self.step is not None else 1.0) * self.lsb()].sum())

    def over_1(self) -> int:
        """Elements off by more than 1 LSB.

        Without a quantizer, to within 1/4096 of the largest deviation.
        """
        if self.step is not None or not self.deviations.total:
            return self.different
        edges, counts = self.deviations.trimmed()
        return self.different + int(counts[edges[:-1] >= self.lsb()].sum())


def _are_embeddings(rows: Array) -> NDArray[np.bool_]:
    """Which rows (N, D) lie on the unit sphere; a row of probabilities that does has no negative elements."""
    length = np.linalg.norm(rows.astype(np.float64), axis=1)
    return np.asarray((np.abs(length - 1.0) < 1e-3) & (rows < 0).any(axis=1))
