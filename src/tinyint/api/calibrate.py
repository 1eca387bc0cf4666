"""The verb `calibrate`: one pass over some samples, whose record serves every target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tinyint.api.progress import Progress, silent
from tinyint.api.source import Model, Source, input_specs, resolve_preprocessing
from tinyint.data import Dataset, Declaration, OnError, open_data
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.calibration import calibrate as run
from tinyint.quantization.calibration.cache import RecordCache, cache_key
from tinyint.quantization.ptq import prepare_float
from tinyint.quantization.repair import Repaired
from tinyint.runtimes import Provider

__all__ = ["SAMPLES", "HowMany", "Way", "cached_record", "calibrate"]

SAMPLES = 128
HowMany: TypeAlias = int | Literal["all"]


@dataclass(frozen=True, kw_only=True)
class Way:
    """Options of calibration: `samples`, batch size, provider, threads."""

    samples: HowMany
    batch_size: int = 1
    provider: Provider = "cpu"
    threads: int | None = None

    @property
    def limit(self) -> int | None:
        """The samples as `open_data` takes them."""
        return None if self.samples == "all" else self.samples


def calibrate(
    model: Model,
    data: str | Path | Iterable[Any],
    *,
    samples: HowMany = SAMPLES,
    batch_size: int = 1,
    provider: Provider = "cpu",
    preprocessing: Declaration | str | Path | None = None,
    on_error: OnError = "stop",
    notice: Callable[[str], object] = lambda _: None,
    threads: int | None = None,
    progress: Progress = silent,
    example_inputs: Any = None,
) -> CalibrationRecord:
    """Calibration record of a float model over samples of `data`.

    The first `samples`, or "all"; save it with `.save(path)`.

    `batch_size` samples run at a time, where the model's batch is open, on the `provider` "cpu" or "cuda".
    An interrupted run goes on where it stopped, and one that is repeated comes from the cache, where the data are
    files. With `on_error="skip"`, samples that cannot be read are left out, and the record is not cached. `notice` is
    told what the user should know about the data. Raises ModelError, DataError and DependencyError.
    """
    way = Way(samples=samples, batch_size=batch_size, provider=provider, threads=threads)
    source = Source.of(model, example_inputs)
    prepared, fingerprint = prepare_float(source.model, source.name)
    graph = Repaired(model=prepared, fingerprint=fingerprint, source=fingerprint)
    declared = resolve_preprocessing(preprocessing, source.model.metadata_props)
    dataset = open_data(data, input_specs(source.model), declared, limit=way.limit, on_error=on_error)
    record = cached_record(graph, dataset, way, progress=progress)
    for message in dataset.notices:
        notice(message)
    return record


def cached_record(graph: Repaired, data: Dataset, way: Way, *, progress: Progress) -> CalibrationRecord:
    """The record from the cache, or from a calibration that is put there."""
    cache, key = RecordCache(), None
    if data.fingerprint:
        key = cache_key(graph.fingerprint, data.fingerprint, str(way.samples), graph.needs)
    if key is not None and (found := cache.load(key)) is not None:
        progress("calibrate", found.samples, found.samples)
        return found
    total = data.len_hint
    record = run(
        graph.model,
        data,
        fingerprint=graph.fingerprint,
        needs=graph.needs,
        threads=way.threads,
        batch_size=way.batch_size,
        provider=way.provider,
        checkpoint=cache.checkpoint(key) if key else None,
        progress=lambda done: progress("calibrate", done, total),
    )
    if key is not None:
        cache.store(key, record)
    return record
