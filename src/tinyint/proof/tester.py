"""Latency, accuracy and times by layer of several models, over the same data."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, cast

from tinyint.data import Sample, stack
from tinyint.data.sample import batches
from tinyint.errors import DataError
from tinyint.proof.bench import TimedSession, Timing
from tinyint.runtimes import Session
from tinyint.runtimes.base import Feeds, LayerTime, Precision
from tinyint.tasks.score import outputs_for, score
from tinyint.tasks.scoring.scorer import Scorer

__all__ = ["Candidate", "Measurement", "Performance", "run_over"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Options of `benchmark`.

    * `warmup`: calls before the clock starts
    * `iterations`: timed calls of each model; by default 100, or with data (then also 0) as many as those give
    * `precision`: of what is not quantized, where the runtime has a choice
    * `shapes`: of inputs with open dimensions, where there are no data
    * `accuracy`: judges the outputs by the metrics of the task
    * `profile`: takes the times of the layers, in calls of their own
    """

    warmup: int = 10
    iterations: int | None = None
    precision: Precision | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    accuracy: bool = False
    profile: bool = False

    def require_fit(self, *, data: bool) -> None:
        """Raises DataError for options that do not go together."""
        if self.warmup < 0 or (self.iterations or 0) < 0:
            raise DataError(f"warm-up {self.warmup}, iterations {self.iterations}: neither can be negative")
        if not data and self.accuracy:
            raise DataError("the accuracy needs data with labels: give --data")
        if not data and self.iterations == 0:
            raise DataError("0 iterations stand for all of the data: give --data, or a number of iterations")
        if data and self.shapes:
            raise DataError("--shape is for random inputs, but --data say the shapes; leave one of them out")


@dataclass(frozen=True, kw_only=True)
class Performance(Timing):
    """Timing with what else was measured.

    * `task`, `samples`, `metrics`: of the accuracy, if it was asked for
    * `layers`: in the runtime's order, if they were asked for
    """

    task: str | None = None
    samples: int | None = None
    metrics: Mapping[str, float | None] | None = None
    layers: tuple[LayerTime, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Timed session of a model; with a task, what decides and judges its outputs."""

    session: TimedSession
    decided: Session | None = None
    scorer: Scorer | None = None


def run_over(
    models: Sequence[Candidate],
    data: Iterable[Sample],
    *,
    batch_size: int,
    warmup: int,
    calls: int | None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[int, Feeds]:
    """Runs the models in turn over batches of the data, the first `calls`.

    Returns the number of samples, and the first batch. Batches are as of `score`; the first one warms up. Raises
    DataError for no samples, and what scorers raise.
    """
    sessions = [model.session for model in models]
    is_open = all(spec.shape and spec.shape[0] is None for session in sessions for spec in session.inputs)
    size = batch_size if is_open else 1
    with closing(cast(Any, iter(data))) as samples:
        first = next(batches(samples, size), [])
    if not first:
        raise DataError("there are no samples to measure with; give --data")
    feeds = stack(first)
    for _ in range(warmup):
        for session in sessions:
            session.warm_up(feeds)
    chosen = data if calls is None else itertools.islice(data, calls * size)
    judged = [(m.decided, m.scorer) for m in models if m.decided is not None and m.scorer is not None]
    if judged:
        return score(judged, chosen, size, progress=progress), feeds
    count = 0
    for batch in batches(chosen, size):
        for session in sessions:
            outputs_for(session, batch)
        count += len(batch)
        progress(count)
    return count, feeds
