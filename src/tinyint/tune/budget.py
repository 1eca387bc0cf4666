"""Budget of accuracy and time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinyint.errors import DataError
from tinyint.quantization.calibrated import RecordSource
from tinyint.tune.metric import Metric, SqnrMetric

__all__ = ["Budget"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Accuracy that an int8 model may lose, and time for the search.

    * `max_drop`: of the metric, beside the float model: in percentage points for a task's metric, in the function's own
      unit for one of the user's; with `sqnr`, the SQNR in dB that the outputs keep at least
    * `metric`: a metric of the task, "sqnr", or a function `package.module:function` of outputs and samples; None for
      the task's headline metric
    * `task`: as of `evaluate`
    * `seconds`: None for as long as it takes
    * `samples`: held-out samples that each model is judged on, at most
    * `calibration`: as of `quantize`
    """

    max_drop: float
    metric: str | None = None
    task: str | None = None
    seconds: float | None = None
    samples: int = 512
    calibration: RecordSource | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_drop) and self.max_drop >= 0):
            raise DataError(f"a drop of at most {self.max_drop:g}: expected a number from 0")
        if self.seconds is not None and not self.seconds > 0:
            raise DataError(f"a time of {self.seconds:g} s: expected more than 0")

    def shortfall(self, metric: Metric, reference: float, value: float) -> float:
        """By how much a value misses the goal; infinite for NaN."""
        if math.isnan(value):
            return math.inf
        if isinstance(metric, SqnrMetric):
            return self.max_drop - value
        return reference - value - self.max_drop
