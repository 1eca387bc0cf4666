"""Progress of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tinyint.proof.agreement import Agreement

__all__ = ["Outcome", "Silent", "Status", "ValidationResult", "Watcher"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """State of a run after `iteration` of `iters`.

    `loss` is the mean since the last status.
    """

    iteration: int
    iters: int
    loss: float
    learning_rate: float
    samples_per_second: float
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """Validation after `iteration`; `metric` names `value`.

    By it the best model is chosen.

    `metrics` are all of them by name, from 0 to 1, or in dB; None for what the samples do not define.
    """

    iteration: int
    loss: float
    metric: str
    value: float
    best: bool
    metrics: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run.

    * `best_model`: the directory with model.onnx and metrics.json
    * `best`: the evaluation of that model, None if there were no data for one
    * `resumed_at`: the iteration at which this run went on, 0 for a new one
    * `proof`: of a quantized model, how it agrees in its runtime with the module that was trained
    """

    best_model: str
    best: ValidationResult | None
    iterations: int
    resumed_at: int
    loss: float
    seconds: float
    proof: Agreement | None = None


class Watcher(Protocol):
    """Observer of a run, picklable until the first call.

    With several devices it is called in another process.
    """

    def notice(self, message: str) -> None:
        """A sentence that the user should see."""
        ...

    def status(self, status: Status) -> None: ...

    def evaluation(self, evaluation: ValidationResult) -> None: ...

    def close(self) -> None:
        """The run has ended, in whatever way."""
        ...


class Silent:
    """Tells nobody."""

    def notice(self, message: str) -> None:
        pass

    def status(self, status: Status) -> None:
        pass

    def evaluation(self, evaluation: ValidationResult) -> None:
        pass

    def close(self) -> None:
        pass
