"""The verb `quantize`: a float model and some samples → an int8 model, its calibration record, and the proof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir

from tinyint.api.calibrate import cached_record
from tinyint.api.progress import Progress, silent
from tinyint.api.source import (
    Model,
    RecipeSource,
    Source,
    input_specs,
    resolve_preprocessing,
    resolve_recipe,
)
from tinyint.api.staging import staged
from tinyint.calibrate import CalibrationRecord
from tinyint.data import Dataset, Preprocessing, Sample, open_data
from tinyint.errors import DataError
from tinyint.graph.io import atomic_write, save_model
from tinyint.ptq import Quantized, Stopwatch, prepare_float
from tinyint.ptq import quantize as run
from tinyint.recipe import Recipe
from tinyint.report import Report, Sizes, prove
from tinyint.report.html import to_html
from tinyint.report.prove import Samples
from tinyint.report.report import to_json
from tinyint.runtimes.base import TensorSpec
from tinyint.targets import get_target

__all__ = ["Result", "quantize"]

_PROOF_SAMPLES = 64

Data = str | Path | Iterable[Any]


@dataclass(frozen=True, kw_only=True)
class Result:
    """An int8 model, the proof, the record that its scales are from (static method), and where it was written."""

    model: ir.Model
    report: Report
    record: CalibrationRecord | None
    path: Path | None


def quantize(
    model: Model,
    data: Data | None = None,
    *,
    output: str | Path | None = None,
    recipe: RecipeSource = "default",
    settings: Iterable[str] = (),
    target: str | None = None,
    calibration: CalibrationRecord | str | Path | None = None,
    samples: int | None = None,
    preprocessing: Preprocessing | str | Path | None = None,
    verify: bool = True,
    threads: int | None = None,
    progress: Progress = silent,
    example_inputs: Any = None,
) -> Result:
    """Quantizes a float model for a target (this machine, if none is named) and proves the result on its runtime.

    The first `samples` of `data` (or as many as the recipe says) calibrate; those behind them are held out for the
    proof. `calibration` is a record to use instead, `settings` are KEY=VALUE changes to the recipe, `example_inputs`
    are for an nn.Module. With `output`, the model, its record and its report are written there: all of them or none.

    Raises TinyintError: what is wrong with the model, the data, the recipe, the target, the record or the place.
    """
    chosen, notes = resolve_recipe(recipe, settings)
    job = _Job(
        recipe=chosen, samples=samples or chosen.samples, threads=threads, progress=progress, notes=notes
    )
    path, goal, source = _path(output), get_target(target), Source.of(model, example_inputs)
    with staged(path, keep=(model, data, calibration)) as scratch:
        with job.watch.time("prepare"):
            progress("prepare", 0, None)
            prepared, fingerprint = prepare_float(source.model, source.name)
        job.open(data, source.model, preprocessing, calibration)
        quantized = run(
            prepared,
            target=goal,
            recipe=chosen,
            record=lambda: job.record(prepared, fingerprint),
            stopwatch=job.watch,
        )
        job.declare(quantized.model)
        written = scratch / (path.name if path else "model.onnx")
        with job.watch.time("quantize"):
            progress("write", 0, None)
            save_model(quantized.model, written)
        report = prove(
            quantized,
            float_model=source.runnable,
            int8_model=written,
            sizes=Sizes(baseline=source.size(), int8=_bytes_of(written)),
            source=source.name,
            output=path,
            samples=job.proof_samples() if verify else None,
            verified=verify,
            threads=threads,
            notes=job.all_notes(),
        )
        _write_beside(written, quantized, report)
    return Result(model=quantized.model, report=report, record=quantized.record, path=path)


def _path(output: str | Path | None) -> Path | None:
    return None if output is None else Path(output)


@dataclass(kw_only=True)
class _Job:
    """One call of `quantize`: the data, and who reads which part of them."""

    recipe: Recipe
    samples: int
    threads: int | None
    progress: Progress
    watch: Stopwatch = field(default_factory=Stopwatch)
    notes: list[str] = field(default_factory=list)
    preprocessing: Preprocessing | None = None
    given: CalibrationRecord | None = None
    data: Data | None = None
    specs: tuple[TensorSpec, ...] = ()
    calibrating: Dataset | None = None
    used: int = 0  # samples from the start of the data that calibration has seen

    def open(
        self,
        data: Data | None,
        model: ir.Model,
        preprocessing: Preprocessing | str | Path | None,
        calibration: CalibrationRecord | str | Path | None,
    ) -> None:
        self.data = data
        self.preprocessing = resolve_preprocessing(preprocessing, model.metadata_props)
        static = self.recipe.method == "static"
        if static and calibration is not None:
            if not isinstance(calibration, CalibrationRecord):
                calibration = CalibrationRecord.load(calibration)
            self.given = calibration
        if data is None:
            if static and self.given is None:
                raise DataError(
                    "the static method needs calibration samples: give data (--data), or a record of an earlier "
                    "calibration (--calibration), or choose the recipe dynamic or weight_only, which need none"
                )
            return
        self.specs = input_specs(model)
        self.calibrating = open_data(data, self.specs, self.preprocessing, limit=self.samples)
        self.preprocessing = self.calibrating.preprocessing or self.preprocessing

    def record(self, prepared: ir.Model, fingerprint: str) -> CalibrationRecord:
        if self.given is not None:
            self.given.require_model(fingerprint)
            self.used = self.given.samples
            return self.given
        assert self.calibrating is not None
        record = cached_record(
            prepared,
            fingerprint,
            self.calibrating,
            self.samples,
            threads=self.threads,
            progress=self.progress,
        )
        self.used = record.samples
        return record

    def proof_samples(self) -> Samples | None:
        """The samples behind those that calibrated; where there are none, the latter."""
        if self.data is None or self.calibrating is None:
            return None
        self.progress("verify", 0, None)
        held_out = self._behind(self.data)
        if held_out is not None:
            return Samples(samples=self._counted(held_out), first=_first(held_out), held_out=True)
        again = open_data(self.data, self.specs, self.preprocessing_for_files(), limit=_PROOF_SAMPLES)
        return Samples(samples=self._counted(again), first=_first(again), held_out=False)

    def _behind(self, data: Data) -> Dataset | None:
        known = open_data(data, self.specs, self.preprocessing_for_files()).len_hint
        if known is not None and known <= self.used:
            return None
        behind = open_data(
            data, self.specs, self.preprocessing_for_files(), limit=_PROOF_SAMPLES, skip=self.used
        )
        if known is None and self.used:
            try:
                _first(behind)
            except DataError:  # it ended with the last calibration sample
                return None
        return behind

    def preprocessing_for_files(self) -> Preprocessing | None:
        """What declared the images of the calibration; arrays are taken as they are."""
        return self.calibrating.preprocessing if self.calibrating else None

    def _counted(self, dataset: Dataset) -> Iterator[Sample]:
        for done, sample in enumerate(dataset, 1):
            self.progress("verify", done, dataset.len_hint)
            yield sample

    def declare(self, model: ir.Model) -> None:
        """Write into the model how images become its inputs, where that is known."""
        if self.preprocessing is not None:
            model.metadata_props.update(self.preprocessing.to_metadata())

    def all_notes(self) -> list[str]:
        return [*self.notes, *(self.calibrating.notices if self.calibrating else ())]


def _first(dataset: Dataset) -> Sample:
    return next(iter(dataset))


def _bytes_of(model: Path) -> int:
    return sum(path.stat().st_size for path in model.parent.iterdir() if path.name.startswith(model.name))


def _write_beside(model: Path, quantized: Quantized, report: Report) -> None:
    stem = model.name.removesuffix(".onnx")
    if quantized.record is not None:
        quantized.record.save(model.with_name(f"{stem}.calibration.npz"))
    texts = {"json": to_json(report.to_json()) + "\n", "html": to_html(report)}
    for suffix, text in texts.items():
        with atomic_write(model.with_name(f"{stem}.report.{suffix}")) as temporary:
            temporary.write_text(text, encoding="utf-8")
