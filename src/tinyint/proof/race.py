"""Race of float against int8, repeated while timings are noisy."""

from __future__ import annotations

import time

import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.source import ModelSource
from tinyint.proof.bench import Clock, Entry, Timing, benchmark
from tinyint.proof.measured import Latency
from tinyint.proof.verdict import speed_of
from tinyint.runtimes import Runtime
from tinyint.runtimes.base import Feeds

__all__ = ["race"]

_CALLS, _SECONDS, _WARMUP = 200, 2.0, 5
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
    """Times float and int8 in turn, again while noisy results favour float.

    Up to twice more; the run with the least spread is used.

    `prepared`: the float graph, which runs where the runtime does not read the float model as given; `native`: see
    `Latency`. Raises DataError for open dimensions without `feeds`.
    """
    given, quantized = models

    def run(model: ModelSource) -> tuple[Timing, Timing]:
        baseline, int8 = benchmark(
            [
                Entry(model=model, runtime=runtime, precision="float32", label="float"),
                Entry(model=quantized, runtime=runtime, precision="float32", label="int8"),
            ],
            threads=threads,
            warmup=_WARMUP,
            iterations=_CALLS,
            seconds=_SECONDS,
            feeds=feeds,
            clock=clock,
        )
        return baseline, int8

    runs: list[Latency] = []
    stands_in = False
    while len(runs) < _RACES:
        try:
            baseline, int8 = run(prepared if stands_in else given)
        except ModelError:
            if stands_in:
                raise
            stands_in = True
            continue
        runs.append(Latency(baseline=baseline, int8=int8, native=native, prepared=stands_in))
        if not (runs[-1].restless and speed_of(runs[-1]) == "slower"):
            return runs[-1]
    return min(runs, key=lambda run: run.spread)
