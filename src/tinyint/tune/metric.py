"""Metrics of a budget: a task's, the SQNR, or the user's function."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from tinyint.data import Sample
from tinyint.data.generator import is_function_spec, load_function
from tinyint.errors import DataError, nearest
from tinyint.numbers.distance import NoiseSum
from tinyint.runtimes import Session
from tinyint.runtimes.outputs import tensors_of
from tinyint.tasks import Task
from tinyint.tasks.score import score

__all__ = ["FunctionMetric", "Metric", "SqnrMetric", "TaskMetric", "needs_task", "resolve_metric"]

SQNR = "sqnr"
_ALIASES = {"map": "AP"}


class Metric(Protocol):
    """Figure of a model on samples; higher is better."""

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str:
        """Unit of values and drops, with a space before it."""
        ...

    def value(self, session: Session, present: str | None, samples: Iterable[Sample]) -> float:
        """Value of the model that `session` runs.

        `present`: kind of the postprocessing that it does itself.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class TaskMetric:
    """Metric of a task, in percent; a drop is in percentage points."""

    name: str
    task: Task
    unit: str = " points"

    def value(self, session: Session, present: str | None, samples: Iterable[Sample]) -> float:
        scorer = self.task.scorer()
        score([(self.task.decided(session, present), scorer)], samples)
        found = scorer.metrics()
        if self.name not in found:
            raise DataError(
                f"no metric {self.name!r} for {self.task.task}: {nearest(self.name, [*found, SQNR])} "
                "(or PACKAGE:FUNCTION)"
            )
        value = found[self.name]
        return math.nan if value is None else 100.0 * value


@dataclass(frozen=True, kw_only=True)
class SqnrMetric:
    """SQNR of the worst output beside the float model, in dB."""

    reference: Session
    name: str = SQNR
    unit: str = " dB"

    def value(self, session: Session, present: str | None, samples: Iterable[Sample]) -> float:
        del present
        noise: dict[str, NoiseSum] = {}
        for sample in samples:
            expected = tensors_of(self.reference.run(sample.inputs))
            found = tensors_of(session.run(sample.inputs))
            for name, array in expected.items():
                if array.dtype.kind == "f" and array.shape == found[name].shape:
                    noise.setdefault(name, NoiseSum()).add(array, found[name])
        return min((sums.sqnr_db for sums in noise.values()), default=math.nan)


@dataclass(frozen=True, kw_only=True)
class FunctionMetric:
    """Function of the user's, (outputs, samples) → number, with drops in its own unit.

    `outputs[i]` are the arrays by name for `samples[i]`, which has `inputs`, `label` and `name`.
    """

    name: str
    function: Callable[[list[dict[str, Any]], list[Sample]], float]
    unit: str = ""

    def value(self, session: Session, present: str | None, samples: Iterable[Sample]) -> float:
        del present
        seen = list(samples)
        outputs = [tensors_of(session.run(sample.inputs)) for sample in seen]
        found = self.function(outputs, seen)
        try:
            return float(found)
        except (TypeError, ValueError):
            raise DataError(
                f"metric {self.name}: expected a number, the function returned a {type(found).__name__}"
            ) from None


def needs_task(name: str | None) -> bool:
    """Whether the metric is a task's, which needs labels."""
    return name is None or not (name == SQNR or is_function_spec(name))


def resolve_metric(name: str | None, task: Task | None, reference: Session) -> Metric:
    """Metric by its name; None is the headline metric of the task.

    Raises DataError for a function that is not there, and without a task for a metric that needs one.
    """
    if name == SQNR:
        return SqnrMetric(reference=reference)
    if name is not None and is_function_spec(name):
        return FunctionMetric(name=name, function=load_function(name))
    if task is None:
        asked = "the task's metric" if name is None else f"metric {name!r}"
        raise DataError(
            f"{asked} needs labelled data; give some (--data), or a metric that needs none: --metric sqnr, or a "
            "function of outputs and samples, PACKAGE:FUNCTION"
        )
    if name is None:
        return TaskMetric(name=task.headline, task=task)
    return TaskMetric(name=_ALIASES.get(name.lower(), name), task=task)
