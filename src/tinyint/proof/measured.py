"""Latency and size of both models."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinyint.proof.bench import Timing

__all__ = ["RESTLESS", "Latency", "Sizes"]

# One call in ten takes a third of the median longer than the fastest one: not the model's doing.
RESTLESS = 1 / 3


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Latency of the float model (`baseline`) and the int8 one, in turn.

    The same runtime, threads and precision.

    `native`: on a processor such as the target is for; elsewhere, the figures say nothing about the target's speed.
    `prepared`: whether the float model ran as it is calibrated, since the runtime does not read the file.
    """

    baseline: Timing
    int8: Timing
    native: bool = True
    prepared: bool = False

    @property
    def speedup(self) -> float:
        return self.baseline.median_ms / self.int8.median_ms if self.int8.median_ms else math.inf

    @property
    def speedup_at_best(self) -> float:
        """Of the fastest calls."""
        return self.baseline.min_ms / self.int8.min_ms if self.int8.min_ms else math.inf

    @property
    def spread(self) -> float:
        """That of the more restless of both: see `Timing.spread`."""
        return max(self.baseline.spread, self.int8.spread)

    @property
    def restless(self) -> bool:
        """Whether other work disturbed the measurement."""
        return self.spread > RESTLESS


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of the model files, external data included."""

    baseline: int
    int8: int
