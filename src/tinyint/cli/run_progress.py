"""A training run on a terminal, while it lasts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tinyint.report.words import percent

if TYPE_CHECKING:
    from tinyint.train import Status, ValidationResult

__all__ = ["RunProgress", "metric_text"]


class RunProgress:
    """Shows a run on stderr: a bar on a terminal, lines elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: Any = None
        self._metric = ""

    def notice(self, message: str) -> None:
        self._line(f"note: {message}")

    def status(self, status: Status) -> None:
        seen = f"loss {status.loss:.4g} · lr {status.learning_rate:.3g} · {status.samples_per_second:.0f} samples/s"
        left = f"{_clock(status.seconds_left)} left"
        if not sys.stderr.isatty():
            self._line(f"{status.iteration}/{status.iters} · {seen} · {left}")
            return
        if self._bar is None:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)
            self._task = self._bar.add_task("", total=status.iters)
            self._bar.start()
        self._bar.update(
            self._task,
            completed=status.iteration,
            description=" · ".join(filter(None, (left, seen, self._metric))),
        )

    def evaluation(self, evaluation: ValidationResult) -> None:
        self._metric = metric_text(evaluation)
        best = " · best so far" if evaluation.best else ""
        others = "".join(
            f" · {name} {percent(value)}"
            for name, value in evaluation.metrics.items()
            if name != evaluation.metric and value is not None
        )
        self._line(
            f"evaluation after {evaluation.iteration}: loss {evaluation.loss:.4g} · {self._metric}{others}{best}"
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, soft_wrap=True)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


def metric_text(evaluation: ValidationResult) -> str:
    """The metric in words."""
    if evaluation.metric == "sqnr_db":
        return f"SQNR to the teacher {evaluation.value:.1f} dB"
    return f"{evaluation.metric} {percent(evaluation.value)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
