"""Quantization scheme of one tensor: a frozen, hashable value."""

from __future__ import annotations

from dataclasses import dataclass

from tinyint.numbers.granularity import PER_TENSOR, Granularity, axis_of
from tinyint.numbers.numerics import INT4, INT7, INT8, INT16, QType

__all__ = ["WEIGHT_FORMATS", "Scheme"]

WEIGHT_FORMATS = {4: INT4.narrow(), 7: INT7.narrow(), 8: INT8.narrow(), 16: INT16.narrow()}
"""Formats of weights by number of bits."""


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Format and granularity of a quantized tensor; its scales are in `QParams`.

    * `qtype`: integer format
    * `symmetric`: zero-point fixed (0 for signed formats), not fitted to the range
    * `granularity`: part of the tensor that has a scale of its own
    """

    qtype: QType
    symmetric: bool
    granularity: Granularity = PER_TENSOR

    @property
    def axis(self) -> int | None:
        """Axis with one scale per index; None for a single scale.

        Raises ValueError for blocks.
        """
        return axis_of(self.granularity)

    def __str__(self) -> str:
        kind = "symmetric" if self.symmetric else "asymmetric"
        return f"{self.qtype.storage} [{self.qtype.qmin}, {self.qtype.qmax}] {kind} {self.granularity}"
