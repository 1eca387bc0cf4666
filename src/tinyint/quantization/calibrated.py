"""Source of the ranges: samples run through the float graph, or an earlier record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import onnx_ir as ir

from tinyint.data import Dataset, Declaration, Samples, input_specs
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.quantization.calibration.cache import RecordCache, cache_key
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.repair import Repaired, repair_float, samples_to_run
from tinyint.quantization.trial import TRIAL_SAMPLES
from tinyint.runtimes import Feeds
from tinyint.runtimes.run import Run

__all__ = ["Calibration", "RecordSource", "calibrated"]

RecordSource = CalibrationRecord | str | Path
"""A record, or the `.npz` file of one."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Samples to run, or an earlier record.

    With both, the record counts; the samples are for trying the model.
    """

    data: Dataset | None = None
    record: CalibrationRecord | None = None
    run: Run = field(default_factory=Run)

    @classmethod
    def of(
        cls,
        samples: Samples,
        model: ir.Model,
        recipe: Recipe,
        *,
        record: RecordSource | None = None,
        run: Run | None = None,
    ) -> Calibration:
        """Source of the first samples, as many as the recipe says.

        Unless they have a limit. Raises DataError and RecordError.
        """
        if isinstance(record, str | Path):
            record = CalibrationRecord.load(record)
        if samples.limit is None and "samples" in recipe.model_fields_set:
            samples = replace(samples, limit=recipe.samples)
        data = None
        if samples.data is not None:
            data = samples.open(input_specs(model), model.metadata_props, default=recipe.samples)
        return cls(data=data, record=record, run=run or Run())

    @property
    def preprocessing(self) -> Declaration | None:
        """Preprocessing of the data, where these are files."""
        return None if self.data is None else self.data.preprocessing

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices of the data for the user, after these have been read."""
        return () if self.data is None else self.data.notices

    def observe(self, graph: Repaired) -> CalibrationRecord:
        """Record of the graph over the samples, from the cache where it is there.

        Else of a calibration, and put there.
        """
        assert self.data is not None
        cache, run, data = RecordCache(), self.run, self.data
        key = cache_key(graph.fingerprint, data.fingerprint, graph.needs) if data.fingerprint else None
        if key is not None and (record := cache.load(key)) is not None:
            run.progress("calibrate", record.samples, record.samples)
            return record
        total = data.len_hint
        record = calibrate(
            graph.model,
            data,
            fingerprint=graph.fingerprint,
            needs=graph.needs,
            threads=run.threads,
            batch_size=run.batch_size,
            provider=run.provider,
            checkpoint=cache.checkpoint(key) if key else None,
            progress=lambda done: run.progress("calibrate", done, total),
        )
        if key is not None:
            cache.store(key, record)
        return record

    def samples(self, recipe: Recipe) -> Sequence[Feeds]:
        """First samples, for steps and trials; none with a record alone."""
        count = max(TRIAL_SAMPLES, samples_to_run(recipe))
        return [sample.inputs for sample in islice(self.data or (), count)]


def calibrated(
    prepared: ir.Model, fingerprint: str, recipe: Recipe, calibration: Calibration
) -> tuple[Repaired, CalibrationRecord]:
    """Float graph after the steps that come before ranges, and its record.

    `fingerprint`: of the model before preparation. Raises RecordError where the record is of another graph, and as
    `repair_float` and `calibrate`.
    """
    record = calibration.record
    graph = repair_float(
        prepared,
        fingerprint,
        recipe,
        observe=calibration.observe,
        decisions=None if record is None else record.decisions,
    )
    if record is None:
        return graph, graph.observed(calibration.observe)
    graph.require(record)
    return graph, record
