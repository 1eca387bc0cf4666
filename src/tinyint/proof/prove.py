"""Proof of the quantized model in its runtime against float, as a report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

import tinyint
from tinyint.data import Sample
from tinyint.errors import DataError
from tinyint.graph.source import ModelSource
from tinyint.metadata import METHOD
from tinyint.numbers.numerics import QParams
from tinyint.proof.bench import Clock
from tinyint.proof.coverage import planned_coverage, read_coverage
from tinyint.proof.measured import Latency, Sizes
from tinyint.proof.race import race
from tinyint.proof.report import Report, TensorRow
from tinyint.proof.saturation import saturation
from tinyint.proof.verdict import judge, shortfalls
from tinyint.proof.verify import Verification, verify
from tinyint.quantization.ptq import Quantized
from tinyint.quantization.qdq import read
from tinyint.runtimes import Runtime, get_runtime, here
from tinyint.runtimes.host import host, peak_rss_bytes

__all__ = ["ProofSamples", "prove", "tensor_rows"]

_SUSPICION = (
    "the runtime may compute something else than the model says; try another target, and `tinyint compare`"
)


@dataclass(frozen=True, kw_only=True)
class ProofSamples:
    """Samples for comparing outputs; `held_out`: unseen by calibration."""

    samples: Iterable[Sample]
    first: Sample
    held_out: bool


@dataclass(kw_only=True)
class _Findings:
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prove(
    quantized: Quantized,
    *,
    float_model: ModelSource,
    int8_model: ModelSource,
    sizes: Sizes,
    source: str,
    output: Path | None,
    samples: ProofSamples | None = None,
    verified: bool = True,
    threads: int | None = None,
    notes: Iterable[str] = (),
    clock: Clock = time.perf_counter,
) -> Report:
    """Report on a quantized model; without `verified` nothing is run.

    Raises ModelError if the runtime cannot load the model, DataError for a sample that does not fit.
    """
    own = get_runtime(quantized.target.runtime)
    runtime = here(own)
    found = _Findings(notes=list(notes))
    used, verification, latency = threads or host().cores, None, None
    start = time.perf_counter()
    if verified:
        coverage = read_coverage(quantized, own)
        verification = _verify(found, float_model, int8_model, samples, own, used)
        if runtime is own:
            models = (float_model, int8_model)
            latency = _time(found, quantized, models, runtime, used, samples, clock)
        else:
            found.notes.append(f"{own.name} does not run here, so speed was not measured")
    else:
        coverage = planned_coverage(quantized)
    seconds = {**quantized.seconds, "verify": time.perf_counter() - start}
    saturated = saturation(quantized.model, runtime.name)
    found.warnings.extend([*coverage.warnings, *_alarms(verification, latency, sizes, saturated)])
    return Report(
        output=None if output is None else str(output),
        source=source,
        method=quantized.model.metadata_props.get(METHOD, quantized.recipe.method),
        target=quantized.target.name,
        recipe=quantized.recipe.name,
        recipe_yaml=quantized.recipe.dump(),
        runtime=runtime.name,
        runtime_version=runtime.available(),
        threads=used,
        host=f"{host().model or host().machine}, {host().cores} cores",
        coverage=coverage,
        verification=verification,
        latency=latency,
        sizes=sizes,
        seconds={step: seconds.get(step, 0.0) for step in _STEPS},
        peak_rss_bytes=peak_rss_bytes(),
        calibration_samples=quantized.record.samples if quantized.record else None,
        steps=quantized.notes,
        warnings=tuple(found.warnings),
        notes=(*found.notes, *coverage.notes),
        version=tinyint.__version__,
        model_fingerprint=quantized.fingerprint,
    )


_STEPS = ("prepare", "calibrate", "quantize", "verify")


def tensor_rows(model: ir.Model) -> tuple[TensorRow, ...]:
    """Every quantizer in a Q/DQ graph, whoever wrote it."""
    return tuple(_row(tensor.name, tensor.constant, tensor.params) for tensor in read(model))


def _row(name: str, constant: bool, params: QParams) -> TensorRow:
    scale, zero_point = np.atleast_1d(params.scale), np.atleast_1d(params.zero_point)
    return TensorRow(
        name=name,
        constant=constant,
        dtype=params.qtype.storage,
        channels=None if params.axis is None else scale.size,
        scale=(float(scale.min()), float(scale.max())),
        zero_point=(int(zero_point.min()), int(zero_point.max())),
    )


def _verify(
    found: _Findings,
    float_model: ModelSource,
    int8_model: ModelSource,
    samples: ProofSamples | None,
    runtime: Runtime,
    threads: int,
) -> Verification | None:
    if samples is None:
        found.warnings.append(
            "the outputs were not compared with the float model's, since there are no samples: give --data"
        )
        return None
    found_out = verify(
        float_model,
        int8_model,
        samples.samples,
        runtime=runtime,
        threads=threads,
        held_out=samples.held_out,
    )
    found.notes.extend(_not_compared(found_out))
    return found_out


def _not_compared(proof: Verification) -> Iterator[str]:
    for name, output in proof.outputs.items():
        if output.unlike:
            yield (
                f"output {name!r} has another shape than the float model's in {output.unlike} of {proof.samples} "
                "samples, as values decide how much there is; only what both have was compared"
            )
        elif not output.judged:
            yield f"output {name!r} was not compared: it is empty, or holds masks and infinities only"


def _time(
    found: _Findings,
    quantized: Quantized,
    models: tuple[ModelSource, ModelSource],
    runtime: Runtime,
    threads: int,
    samples: ProofSamples | None,
    clock: Clock,
) -> Latency | None:
    feeds = None if samples is None else samples.first.inputs
    target = quantized.target.name
    cpu = quantized.target.cpu
    native = cpu.runs_on(host()) and not cpu.saturates_on(host())
    try:
        latency = race(
            models,
            runtime,
            prepared=quantized.prepared,
            threads=threads,
            feeds=feeds,
            native=native,
            clock=clock,
        )
    except DataError:
        if feeds is not None:
            raise
        found.notes.append(
            "speed was not measured: the model leaves dimensions open, and no samples tell them; give --data"
        )
        return None
    if not native:
        found.notes.append(
            f"the checks and the latency are of this processor, not of one that {target} is for: measure there"
        )
    if latency.prepared:
        found.notes.append(
            f"{runtime.name} does not read the float model's file, so the float graph that was calibrated was timed"
        )
    if latency.restless:
        found.notes.append(
            f"the machine was busy: calls took up to {latency.spread:.0%} of the median longer than the fastest one, "
            "so the latencies are rough"
        )
    return latency


def _alarms(
    verification: Verification | None, latency: Latency | None, sizes: Sizes, saturated: str | None
) -> Iterator[str]:
    """Bad parts of the verdict, and its missing grounds."""
    verdict = judge(verification, latency, sizes)
    cause = "sums of pairs saturate on this processor" if saturated else _SUSPICION
    short = () if verification is None else tuple(shortfalls(verification))
    if saturated is not None:
        yield saturated
    yield from (reason for reason in verdict.reasons if reason not in short)
    yield from (f"{reason}: {cause}" for reason in short)
    if latency and verdict.speed == "slower":
        yield (
            f"the int8 model is slower than the float model: {latency.int8.median_ms:.2f} ms against "
            f"{latency.baseline.median_ms:.2f} ms on {latency.int8.runtime}"
        )
    if verdict.size == "larger":
        yield f"the int8 model is larger than the float model: {sizes.int8:,} bytes against {sizes.baseline:,}"
    if verification is None:
        return
    if not verification.held_out:
        yield (
            "the outputs were compared on the calibration samples themselves, not on held-out ones: give more "
            "samples, or calibrate on fewer (--samples)"
        )
