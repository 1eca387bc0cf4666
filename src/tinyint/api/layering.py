"""Layers for the report of a quantization, on the first samples of its proof."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tinyint.api.proving import ProofData
from tinyint.data import Sample
from tinyint.diagnosis.layers import MOST_SAMPLES, layers_of
from tinyint.graph.source import ModelSource
from tinyint.proof.measured import Latency
from tinyint.proof.prove import ProofSamples
from tinyint.proof.report import Report
from tinyint.quantization.ptq import Quantized
from tinyint.runtimes import get_runtime
from tinyint.runtimes.run import Run

__all__ = ["Kept", "with_layers"]

_PROFILED_MS, _FEWEST, _MOST = 1000.0, 3, 15


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Samples of a proof, of which the first few are kept as they pass.

    `data`: where they come from; tells at the end what was left out.
    """

    proof: ProofSamples | None
    data: ProofData | None = None
    samples: list[Sample] = field(default_factory=list)

    @classmethod
    def of(cls, proof: tuple[ProofSamples, ProofData] | None) -> Kept:
        if proof is None:
            return cls(proof=None)
        given, first = proof[0], list[Sample]()

        def passing() -> Iterator[Sample]:
            for sample in given.samples:
                if len(first) < MOST_SAMPLES:
                    first.append(sample)
                yield sample

        return cls(proof=replace(given, samples=passing()), data=proof[1], samples=first)


def with_layers(report: Report, quantized: Quantized, int8_file: ModelSource, kept: Kept, run: Run) -> Report:
    """Adds the layers, the seconds that they took, and notes on the samples.

    Without samples or proof, with what is known without running anything; where that is not written either, as it is.
    """
    if kept.data is not None:
        report = replace(report, notes=(*report.notes, *kept.data.notes()))
    if not run.verify and report.output is None:
        return report
    run.progress("layers", 0, None)
    start = time.perf_counter()
    layers = layers_of(
        quantized,
        report.coverage,
        kept.samples,
        int8_file=int8_file,
        runtime=None if report.latency is None else get_runtime(report.runtime),
        feeds=kept.samples[0].inputs if kept.samples else None,
        calls=_calls(report.latency),
        threads=report.threads,
    )
    seconds = {**report.seconds, "layers": time.perf_counter() - start}
    return replace(report, layers=layers, seconds=seconds, notes=(*report.notes, *layers.notes))


def _calls(latency: Latency | None) -> int:
    """Calls of a profile that take about a second, 3 to 15."""
    slow = 1.0 if latency is None else max(latency.baseline.median_ms, latency.int8.median_ms, 1.0)
    return int(min(max(_PROFILED_MS / slow, _FEWEST), _MOST))
