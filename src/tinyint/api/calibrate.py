"""The verb `calibrate`: one pass over some samples, whose record serves every target."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx_ir as ir

from tinyint.api.progress import Progress, silent
from tinyint.api.source import Model, Source, input_specs, resolve_preprocessing
from tinyint.calibrate import CalibrationRecord
from tinyint.calibrate import calibrate as run
from tinyint.calibrate.cache import RecordCache, cache_key
from tinyint.data import Dataset, Preprocessing, open_data
from tinyint.ptq import prepare_float

__all__ = ["SAMPLES", "cached_record", "calibrate"]

SAMPLES = 128


def calibrate(
    model: Model,
    data: str | Path | Iterable[Any],
    *,
    samples: int = SAMPLES,
    preprocessing: Preprocessing | str | Path | None = None,
    threads: int | None = None,
    progress: Progress = silent,
    example_inputs: Any = None,
) -> CalibrationRecord:
    """The calibration record of a float model over the first `samples` of `data`; save it with `.save(path)`.

    An interrupted run goes on where it stopped, and one that is repeated comes from the cache, where the data are
    files. Raises ModelError and DataError.
    """
    source = Source.of(model, example_inputs)
    prepared, fingerprint = prepare_float(source.model, source.name)
    declared = resolve_preprocessing(preprocessing, source.model.metadata_props)
    dataset = open_data(data, input_specs(source.model), declared, limit=samples)
    return cached_record(prepared, fingerprint, dataset, samples, threads=threads, progress=progress)


def cached_record(
    prepared: ir.Model,
    fingerprint: str,
    data: Dataset,
    samples: int,
    *,
    threads: int | None,
    progress: Progress,
) -> CalibrationRecord:
    """The record from the cache, or from a calibration that is put there."""
    cache = RecordCache()
    key = cache_key(fingerprint, data.fingerprint, samples) if data.fingerprint else None
    if key is not None and (found := cache.load(key)) is not None:
        progress("calibrate", found.samples, found.samples)
        return found
    total = data.len_hint
    record = run(
        prepared,
        data,
        fingerprint=fingerprint,
        threads=threads,
        checkpoint=cache.checkpoint(key) if key else None,
        progress=lambda done: progress("calibrate", done, total),
    )
    if key is not None:
        cache.store(key, record)
    return record
