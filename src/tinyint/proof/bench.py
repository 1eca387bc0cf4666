"""Latency and throughput side by side; load changes affect all models equally.

The models are timed in turn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyint.errors import DataError, nearest
from tinyint.graph.source import ModelSource, model_label
from tinyint.runtimes.base import Array, Feeds, Precision, Runtime, Session, TensorSpec

__all__ = ["Clock", "Entry", "TimedSession", "Timing", "benchmark", "random_feeds", "timing"]

Clock = Callable[[], float]  # seconds
_SEED = 0
_FEWEST = 10  # rounds that make a median


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Model on a runtime, to measure; `label` defaults to its path."""

    model: ModelSource
    runtime: Runtime
    precision: Precision | None = None
    label: str | None = None

    @property
    def name(self) -> str:
        return self.label or model_label(self.model)

    def open(self, threads: int | None) -> Session:
        """Raises what the runtime raises."""
        return self.runtime.open(self.model, threads=threads, precision=self.precision)


class TimedSession:
    """Session that times each call of `run_transient`; see `Session`.

    `seconds` and `images` are those of each call.
    """

    def __init__(self, session: Session, clock: Clock = time.perf_counter) -> None:
        self._session, self._clock = session, clock
        self.inputs, self.outputs, self.precision = session.inputs, session.outputs, session.precision
        self.run = session.run
        self.warm_up = session.run_transient
        self.seconds: list[float] = []
        self.images: list[int] = []

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        start = self._clock()
        outputs = self._session.run_transient(feeds)
        self.seconds.append(self._clock() - start)
        shape = feeds[self.inputs[0].name].shape if self.inputs else ()
        self.images.append(shape[0] if shape else 1)
        return outputs


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times in ms per call; `precision` of the float part."""

    model: str
    runtime: str
    precision: Precision
    threads: int
    batch_size: int
    iterations: int
    median_ms: float
    p90_ms: float
    p99_ms: float
    min_ms: float
    max_ms: float
    images_per_second: float

    @property
    def spread(self) -> float:
        """(p90 - min) / median: how restless the machine was."""
        return (self.p90_ms - self.min_ms) / self.median_ms if self.median_ms else 0.0


def benchmark(
    entries: Sequence[Entry],
    *,
    threads: int = 1,
    batch_size: int = 1,
    warmup: int = 10,
    iterations: int = 100,
    seconds: float = math.inf,
    feeds: Feeds | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    clock: Clock = time.perf_counter,
) -> list[Timing]:
    """One `Timing` per entry, timed in turn (A B C A B C …).

    In this process, in the order of the entries.

    No round begins after so many `seconds` of calls, but for the first ten. Every model is fed `feeds`, or else random
    values (see `random_feeds`). Raises DataError for a shape that is not known, and what the runtimes raise.
    """
    if iterations < 1 or warmup < 0 or threads < 1 or batch_size < 1:
        raise DataError("iterations, threads and batch size must be at least 1, and warm-up at least 0")
    sessions = [TimedSession(entry.open(threads), clock) for entry in entries]
    _require_inputs([spec for session in sessions for spec in session.inputs], shapes or {}, batch_size)
    given = [feeds or random_feeds(s.inputs, batch_size=batch_size, shapes=shapes) for s in sessions]
    for _ in range(warmup):
        for session, values in zip(sessions, given, strict=True):
            session.warm_up(values)
    for done in range(iterations):
        if done >= _FEWEST and sum(sum(session.seconds) for session in sessions) > seconds:
            break
        for session, values in zip(sessions, given, strict=True):
            session.run_transient(values)
    return [timing(entry, session, threads) for entry, session in zip(entries, sessions, strict=True)]


def _require_inputs(
    specs: Sequence[TensorSpec], shapes: Mapping[str, Sequence[int]], batch_size: int
) -> None:
    """Raises DataError for shapes of no input, and unfit batch sizes."""
    names = {spec.name for spec in specs}
    for name, shape in shapes.items():
        if name not in names:
            raise DataError(f"--shape {name}=…: no model has the input {name!r}; {nearest(name, names)}")
        if batch_size != 1 and shape[0] != batch_size:
            raise DataError(
                f"--shape {name}={','.join(map(str, shape))} gives the batch, and --batch-size says "
                f"{batch_size}; leave one of them out"
            )


def random_feeds(
    inputs: Sequence[TensorSpec], *, batch_size: int = 1, shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, np.ndarray]:
    """Seeded values: normal for floats, 0 and 1 for integers.

    Every vocabulary has 0 and 1.

    An open first dimension becomes `batch_size`. Raises DataError for any other open dimension unless `shapes` gives
    the shape of that input.
    """
    rng = np.random.default_rng(_SEED)
    return {spec.name: _random(spec, _shape(spec, batch_size, shapes or {}), rng) for spec in inputs}


def _shape(spec: TensorSpec, batch_size: int, shapes: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    if spec.name in shapes:
        return tuple(shapes[spec.name])
    dims = [batch_size if axis == 0 and dim is None else dim for axis, dim in enumerate(spec.shape)]
    known = tuple(dim for dim in dims if dim is not None)
    if len(known) < len(dims):
        raise DataError(
            f"input {spec.name!r} has open dimensions, {spec}: give them with --shape {spec.name}=…"
        )
    return known


def _random(spec: TensorSpec, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if spec.dtype.kind == "f":
        return rng.standard_normal(shape).astype(spec.dtype)
    if spec.dtype.kind in "iub":
        return rng.integers(0, 2, shape).astype(spec.dtype)
    raise DataError(
        f"input {spec.name!r} is of type {spec.dtype}; random values cannot be made for it, give data"
    )


def timing(entry: Entry, session: TimedSession, threads: int) -> Timing:
    """Times of the calls with the most images, without a last, smaller batch."""
    batch_size = max(session.images)
    ms = 1e3 * np.array([s for s, n in zip(session.seconds, session.images, strict=True) if n == batch_size])
    median, p90, p99 = (float(value) for value in np.percentile(ms, (50, 90, 99)))
    return Timing(
        model=entry.name,
        runtime=entry.runtime.name,
        precision=session.precision,
        threads=threads,
        batch_size=batch_size,
        iterations=ms.size,
        median_ms=median,
        p90_ms=p90,
        p99_ms=p99,
        min_ms=float(ms.min()),
        max_ms=float(ms.max()),
        images_per_second=batch_size * 1e3 / float(ms.mean()) if median else float("inf"),
    )
