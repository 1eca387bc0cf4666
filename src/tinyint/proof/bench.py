"""Latency and throughput side by side; load changes affect all models equally.

The models are timed in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyint.errors import DataError, nearest
from tinyint.graph.source import ModelSource, model_label
from tinyint.runtimes.base import Feeds, Precision, Runtime, Session, TensorSpec

__all__ = ["Clock", "Entry", "Timing", "benchmark", "random_feeds"]

Clock = Callable[[], float]  # seconds
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Model on a runtime, to measure; `label` defaults to its path."""

    model: ModelSource
    runtime: Runtime
    precision: Precision | None = None
    label: str | None = None


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
    feeds: Feeds | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    clock: Clock = time.perf_counter,
) -> list[Timing]:
    """One `Timing` per entry, timed in turn (A B C A B C …).

    In this process, in the order of the entries.

    Every model is fed `feeds`, or else random values (see `random_feeds`). Raises DataError for a shape that is not
    known, and what the runtimes raise.
    """
    if iterations < 1 or warmup < 0 or threads < 1 or batch_size < 1:
        raise DataError("iterations, threads and batch size must be at least 1, and warm-up at least 0")
    sessions = [e.runtime.open(e.model, threads=threads, precision=e.precision) for e in entries]
    _require_inputs([spec for session in sessions for spec in session.inputs], shapes or {}, batch_size)
    given = [feeds or random_feeds(s.inputs, batch_size=batch_size, shapes=shapes) for s in sessions]
    for _ in range(warmup):
        for session, values in zip(sessions, given, strict=True):
            session.run_transient(values)
    seconds = np.zeros((len(entries), iterations))
    for turn in range(iterations):
        for row, (session, values) in enumerate(zip(sessions, given, strict=True)):
            start = clock()
            session.run_transient(values)
            seconds[row, turn] = clock() - start
    return [
        _timing(entry, session, row * 1e3, threads, _batch_of(session, values, batch_size))
        for entry, session, row, values in zip(entries, sessions, seconds, given, strict=True)
    ]


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


def _batch_of(session: Session, feeds: Feeds, batch_size: int) -> int:
    """The images in one call: the first dimension of the first input."""
    shape = feeds[session.inputs[0].name].shape if session.inputs else ()
    return shape[0] if shape else batch_size


def _timing(entry: Entry, session: Session, ms: np.ndarray, threads: int, batch_size: int) -> Timing:
    median = float(np.median(ms))
    return Timing(
        model=entry.label or model_label(entry.model),
        runtime=entry.runtime.name,
        precision=session.precision,
        threads=threads,
        batch_size=batch_size,
        iterations=ms.size,
        median_ms=median,
        p90_ms=float(np.percentile(ms, 90)),
        min_ms=float(ms.min()),
        max_ms=float(ms.max()),
        images_per_second=batch_size * 1e3 / median if median else float("inf"),
    )
