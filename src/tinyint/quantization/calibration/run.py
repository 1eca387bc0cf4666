"""Run the float graph over the samples once, and feed the observers."""

from __future__ import annotations

import contextlib
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx_ir as ir

from tinyint.data import Dataset, Sample, content_key
from tinyint.data.sample import batches
from tinyint.errors import DataError, OutputError, RecordError, TinyintWarning
from tinyint.numbers.numerics import Array
from tinyint.numbers.observers import Summary
from tinyint.quantization.calibration.instrument import Observation, require_batches
from tinyint.quantization.calibration.observed_model import ObservedModel, Seen
from tinyint.quantization.calibration.record import CalibrationRecord
from tinyint.quantization.calibration.statistics import Request
from tinyint.runtimes import Provider

__all__ = ["calibrate"]

_CHECKPOINT_SECONDS = 20.0


def calibrate(
    model: ir.Model,
    data: Dataset,
    *,
    fingerprint: str,
    needs: AbstractSet[Request] = frozenset(),
    threads: int | None = None,
    batch_size: int = 1,
    provider: Provider = "cpu",
    checkpoint: Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> CalibrationRecord:
    """Record of a prepared model over all of `data`, in constant memory.

    Samples of one shape run together, `batch_size` at most; what each of them does to the tensors is kept apart.
    `fingerprint` is that of the model before preparation; `needs` are observed beside the summaries. With `checkpoint`,
    an interrupted run leaves its record there, and the next one over the same samples goes on from it; `progress` is
    told the samples done. Raises DataError for no samples, or one that makes NaN, which it names; ModelError where
    samples cannot be told apart in a batch; DependencyError where ONNX Runtime has no such provider.
    """
    if batch_size > 1:
        require_batches(model)
    observed = ObservedModel(model, needs, threads, provider, by_sample=batch_size > 1)
    samples = iter(data)
    start = CalibrationRecord(fingerprint, statistics={need: need.statistic() for need in needs})
    record = _resume(checkpoint, start, samples) if checkpoint else None
    if record is None:
        record, samples = start, iter(data)
    try:
        _observe_all(record, observed, batches(samples, batch_size), checkpoint, progress)
    except BaseException:
        if checkpoint and record.samples:
            _save(record, checkpoint)
        raise
    if record.samples == 0:
        raise DataError(
            "there are no calibration samples; name a folder, list, .npy, .npz or generator that has some"
        )
    if checkpoint:
        with contextlib.suppress(OSError):
            checkpoint.unlink(missing_ok=True)
    return record


def _save(record: CalibrationRecord, checkpoint: Path) -> None:
    """Saves the record for the next run, if possible.

    A full disk or a missing cache ends no calibration.
    """
    with contextlib.suppress(OSError, OutputError):
        record.save(checkpoint)


def _observe_all(
    record: CalibrationRecord,
    observed: ObservedModel,
    samples: Iterator[list[Sample]],
    checkpoint: Path | None,
    progress: Callable[[int], None],
) -> None:
    """Runs each batch while a thread adds the one before to the record, which Ctrl-C cannot leave half done."""
    saved = time.monotonic()
    with ThreadPoolExecutor(1, "tinyint-observe") as observer:
        before: Future[None] | None = None
        for batch in samples:
            seen = observed.run(batch)
            if before is not None:
                before.result()
                progress(record.samples)
            if checkpoint and time.monotonic() - saved > _CHECKPOINT_SECONDS:
                _save(record, checkpoint)
                saved = time.monotonic()
            before = observer.submit(_observe, record, seen, batch)
        if before is not None:
            before.result()
            progress(record.samples)


def _observe(record: CalibrationRecord, seen: Seen, batch: list[Sample]) -> None:
    for row, (observations, sample) in enumerate(zip(seen.read(len(batch)), batch, strict=True)):
        _require_defined(observations, sample)
        statistics = [(probe.request, *seen.statistic(probe, row)) for probe in seen.instrumented.channels]
        for request, parts, _ in statistics:
            _require_finite(request, parts, sample)
        for request, parts, elements in statistics:
            record.statistics[request].update(parts, elements)
        _add(record, observations, sample)


def _add(record: CalibrationRecord, observations: list[Observation], sample: Sample) -> None:
    key = content_key(sample)
    for tensor, lo, hi, subsample, elements, infinite, _ in observations:
        if infinite:
            subsample = subsample[np.isfinite(subsample)]
        if lo > hi:  # not one finite value; zero is in every range
            lo = hi = 0.0
        summary = record.summaries.setdefault(tensor, Summary())
        summary.update(lo, hi, subsample, key, elements - infinite, infinite)
    record.count(key)


def _require_defined(observations: list[Observation], sample: Sample) -> None:
    # The reductions may pass over NaN; a tensor that holds one holds many, and the subsample shows them.
    for o in observations:
        if o.undefined or math.isnan(o.lo) or math.isnan(o.hi) or np.isnan(o.subsample).any():
            raise DataError(
                f"sample {sample.name}: tensor {o.tensor!r} becomes NaN in the float model; "
                "check the preprocessing, or leave the sample out"
            )


def _require_finite(need: Request, parts: list[Array], sample: Sample) -> None:
    if not all(np.isfinite(part).all() for part in parts):
        raise DataError(
            f"sample {sample.name}: tensor {need.tensor!r} holds infinities in the float model, so that its "
            f"{need.statistic.name} cannot be told; check the preprocessing, or leave out the step that asks for them"
        )


def _resume(
    checkpoint: Path, start: CalibrationRecord, samples: Iterator[Sample]
) -> CalibrationRecord | None:
    """The record of an interrupted run, with `samples` advanced past what it has seen; None to start anew."""
    if not os.path.exists(checkpoint):
        return None
    try:
        record = CalibrationRecord.load(checkpoint)
        record.require_model(start.model_fingerprint)
    except RecordError:
        return None
    if record.statistics.keys() != start.statistics.keys():
        return None
    seen = CalibrationRecord(start.model_fingerprint)
    for sample in samples:
        seen.count(content_key(sample))
        if seen.samples == record.samples:
            break
    if seen.data_fingerprint == record.data_fingerprint and seen.seen == record.seen:
        return record
    warnings.warn(
        f"{checkpoint}: left by a run over other samples; calibration starts anew",
        TinyintWarning,
        stacklevel=3,
    )
    return None
