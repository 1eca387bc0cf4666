"""The float model against the int8 one: who is faster, asked again while the machine is restless."""

from __future__ import annotations

import time

import onnx_ir as ir

from tinyint.evaluate.bench import Clock, Entry, benchmark
from tinyint.graph.walk import macs
from tinyint.report.measured import Latency
from tinyint.report.verdict import speed_of
from tinyint.runtimes import Runtime
from tinyint.runtimes.base import Feeds, ModelSource

__all__ = ["race"]

# Enough calls for a steady median, in about two seconds at 50 billion multiply-adds a second.
_MACS_TO_TIME = 100e9
_FEWEST_CALLS, _MOST_CALLS, _WARMUP = 10, 200, 5
_RACES = 3


def race(
    models: tuple[ModelSource, ModelSource],
    runtime: Runtime,
    *,
    prepared: ir.Model,
    threads: int,
    feeds: Feeds | None,
    native: bool,
    clock: Clock = time.perf_counter,
) -> Latency:
    """Float and int8 in turn. Before a restless machine's word is taken that int8 is slower, it is asked up to twice
    more, and its calmest word counts.

    `prepared`: the float graph, which says how many calls are enough; `native`: see `Latency`. Raises DataError for
    open dimensions without `feeds`.
    """
    calls = int(_MACS_TO_TIME / max(sum(macs(prepared).values()), 1))
    entries = [
        Entry(model=model, runtime=runtime, precision="float32", label=label)
        for model, label in zip(models, ("float", "int8"), strict=True)
    ]
    runs: list[Latency] = []
    while len(runs) < _RACES:
        baseline, int8 = benchmark(
            entries,
            threads=threads,
            warmup=_WARMUP,
            iterations=min(max(calls, _FEWEST_CALLS), _MOST_CALLS),
            feeds=feeds,
            clock=clock,
        )
        runs.append(Latency(baseline=baseline, int8=int8, native=native))
        if not (runs[-1].restless and speed_of(runs[-1]) == "slower"):
            return runs[-1]
    return min(runs, key=lambda run: run.spread)
