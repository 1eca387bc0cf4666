"""How one tensor is quantized: a frozen value, to be compared, hashed and written down."""

from __future__ import annotations

from dataclasses import dataclass

from tinyint.numerics import QType


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Format and geometry of a quantized tensor, without its numbers (those are `QParams`).

    * `qtype`: the integer format
    * `symmetric`: zero-point fixed (0 for signed formats) instead of fitted to the range
    * `axis`: one scale for each index along this axis, or one for the whole tensor (None)
    """

    qtype: QType
    symmetric: bool
    axis: int | None = None

    def __str__(self) -> str:
        kind = "symmetric" if self.symmetric else "asymmetric"
        where = "per tensor" if self.axis is None else f"per channel, axis {self.axis}"
        return f"{self.qtype.storage} [{self.qtype.qmin}, {self.qtype.qmax}] {kind} {where}"
