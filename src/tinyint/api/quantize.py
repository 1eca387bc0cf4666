"""The verb `quantize`: float model and samples → int8 model, record, proof."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from tinyint.api.beside import Beside
from tinyint.api.calibrate import HowMany, Way, cached_record
from tinyint.api.progress import Progress, silent
from tinyint.api.proving import PROOF_SAMPLES, ProofData
from tinyint.api.source import Model, Source, input_specs, resolve_preprocessing
from tinyint.data import Dataset, Declaration, OnError, Sample, open_data
from tinyint.data.named import paths_in
from tinyint.errors import DataError
from tinyint.files import followed
from tinyint.graph.io import save_model
from tinyint.proof import Report, Sizes, prove
from tinyint.proof.prove import Samples
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.plan import plan
from tinyint.quantization.ptq import Quantized, Stopwatch, prepare_float, repair_float
from tinyint.quantization.ptq import quantize as run
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe_source import RecipeSource, resolve_recipe
from tinyint.quantization.repair import Repaired
from tinyint.quantization.trial import TRIAL_SAMPLES
from tinyint.runtimes.base import Feeds, Provider, TensorSpec
from tinyint.targets import Target, get_target

__all__ = ["Result", "quantize"]

Data = str | Path | Iterable[Any]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Int8 model, proof, calibration record (static method), and paths."""

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
    samples: HowMany | None = None,
    batch_size: int = 1,
    provider: Provider = "cpu",
    preprocessing: Declaration | str | Path | None = None,
    on_error: OnError = "stop",
    verify: bool = True,
    threads: int | None = None,
    progress: Progress = silent,
    example_inputs: Any = None,
) -> Result:
    """Quantizes a float model for a target, and proves it on its runtime.

    The target is this machine, if none is named.

    The first `samples` of `data` (or as many as the recipe says; "all") calibrate, `batch_size` at a time, on the
    `provider` "cpu" or "cuda"; those after them are held out for the proof. `calibration` is a record to use instead,
    `settings` are KEY=VALUE changes to the recipe, `example_inputs` are for an nn.Module. With `output`, the model, its
    record and its report are written there: all of them or none.
    With `on_error="skip"`, samples that cannot be read are left out and counted in the report's notes.

    Raises TinyintError: what is wrong with the model, the data, the recipe, the target, the record or the place.
    """
    chosen, notes = resolve_recipe(recipe, settings)
    wanted = samples or chosen.samples
    way = Way(samples=wanted, batch_size=batch_size, provider=provider, threads=threads)
    job = _Job(recipe=chosen, way=way, progress=progress, notes=notes)
    path, goal, source = _path(output), get_target(target), Source.of(model, example_inputs)
    beside = Beside.of(path, calibration)
    read = (model, calibration, preprocessing, recipe, *source.files, *paths_in(data))
    with beside.staged(read, with_record=chosen.method == "static") as scratch:
        prepared = job.prepare(source)
        job.open(data, source.model, preprocessing, calibration, on_error)
        quantized = job.quantize(job.repair(*prepared, goal), goal)
        written = scratch / beside.model.name
        job.write(beside.marked(quantized), written)
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
        report = job.with_proof_notes(report)
        beside.write(scratch, quantized.record, report)
    return Result(model=quantized.model, report=report, record=quantized.record, path=path)


def _path(output: str | Path | None) -> Path | None:
    return None if output is None else followed(output)


@dataclass(kw_only=True)
class _Job:
    """One call of `quantize`: the data, and who reads which part of them."""

    recipe: Recipe
    way: Way
    progress: Progress
    watch: Stopwatch = field(default_factory=Stopwatch)
    notes: list[str] = field(default_factory=list)
    preprocessing: Declaration | None = None
    given: CalibrationRecord | None = None
    data: Data | None = None
    specs: tuple[TensorSpec, ...] = ()
    on_error: OnError = "stop"
    calibrating: Dataset | None = None
    proving: ProofData | None = None
    calibrated: CalibrationRecord | None = None
    used: int = 0  # samples from the start of the data that calibration has read

    def prepare(self, source: Source) -> tuple[ir.Model, str]:
        """The float graph before the steps, and its fingerprint."""
        with self.watch.time("prepare"):
            self.progress("prepare", 0, None)
            return prepare_float(source.model, source.name)

    def repair(self, prepared: ir.Model, fingerprint: str, target: Target) -> Repaired:
        """The float graph as it is calibrated."""
        decided = None if self.given is None else self.given.decisions
        with self.watch.time("prepare"):
            if self.recipe.method == "static":
                plan(
                    prepared, target, self.recipe
                )  # before a step calibrates: whether there is anything to do
            repaired = repair_float(
                prepared, fingerprint, self.recipe, observe=self.observe, decisions=decided
            )
        self.notes.extend(repaired.notes)
        return repaired

    def open(
        self,
        data: Data | None,
        model: ir.Model,
        preprocessing: Declaration | str | Path | None,
        calibration: CalibrationRecord | str | Path | None,
        on_error: OnError,
    ) -> None:
        self.data, self.on_error = data, on_error
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
        self.calibrating = open_data(
            data, self.specs, self.preprocessing, limit=self.way.limit, on_error=on_error
        )
        self.preprocessing = self.calibrating.preprocessing or self.preprocessing

    def observe(self, graph: Repaired) -> CalibrationRecord:
        assert self.calibrating is not None
        with self.watch.time("calibrate"):
            return cached_record(graph, self.calibrating, self.way, progress=self.progress)

    def quantize(self, repaired: Repaired, target: Target) -> Quantized:
        quantized = run(
            repaired.model,
            target=target,
            recipe=self.recipe,
            record=lambda: self.record(repaired),
            samples=self.trial_samples,
            stopwatch=self.watch,
        )
        self.notes.extend(quantized.notes)
        return quantized

    def record(self, repaired: Repaired) -> CalibrationRecord:
        if self.given is not None:
            repaired.require(self.given)
            self.used, self.calibrated = self.given.samples, self.given
            return self.given
        assert self.calibrating is not None
        record = repaired.observed(self.observe)
        # Those that were skipped count: the proof begins after them.
        self.used, self.calibrated = record.samples + len(self.calibrating.skipped), record
        return record

    def trial_samples(self) -> list[Feeds]:
        """The first calibration samples; none without data."""
        return [sample.inputs for sample in itertools.islice(self.calibrating or (), TRIAL_SAMPLES)]

    def proof_samples(self) -> Samples | None:
        """Samples unseen by calibration; falls back to the calibration set."""
        if self.data is None or self.calibrating is None:
            return None
        self.progress("verify", 0, None)
        unseen = self._behind(self.data)
        rest = iter(unseen or ())
        first = self._first_of(rest, self.data)
        held_out = first is not None
        if unseen is None or first is None:
            unseen = ProofData(dataset=self._opened(self.data, limit=PROOF_SAMPLES), record=None)
            rest = iter(unseen)
            first = next(rest)
        self.proving = unseen
        samples = self._counted(itertools.chain([first], rest), unseen.total)
        return Samples(samples=samples, first=first, held_out=held_out)

    def _opened(self, data: Data, limit: int | None = None, skip: int = 0) -> Dataset:
        declared = self.preprocessing_for_files()
        return open_data(data, self.specs, declared, limit=limit, skip=skip, on_error=self.on_error)

    def _behind(self, data: Data) -> ProofData | None:
        """Samples after the calibration set, without those seen."""
        known = self._opened(data).len_hint
        if known is not None and known <= self.used:
            return None
        return ProofData(dataset=self._opened(data, skip=self.used), record=self.calibrated)

    def _first_of(self, samples: Iterator[Sample], data: Data) -> Sample | None:
        try:
            return next(samples, None)
        except DataError:
            if self.used and self._opened(data).len_hint is None:
                return None  # it ended with the last calibration sample
            raise

    def preprocessing_for_files(self) -> Declaration | None:
        """What declared the images of the calibration; arrays are taken as they are."""
        return self.calibrating.preprocessing if self.calibrating else None

    def _counted(self, samples: Iterable[Sample], total: int | None) -> Iterator[Sample]:
        for done, sample in enumerate(samples, 1):
            self.progress("verify", done, total)
            yield sample

    def write(self, model: ir.Model, path: Path) -> None:
        """The model with how files become its inputs, where that is known."""
        if self.preprocessing is not None:
            model.metadata_props.update(self.preprocessing.to_metadata())
        with self.watch.time("quantize"):
            self.progress("write", 0, None)
            save_model(model, path)

    def all_notes(self) -> list[str]:
        return [*self.notes, *(self.calibrating.notices if self.calibrating else ())]

    def with_proof_notes(self, report: Report) -> Report:
        """With what the proof found of its samples, which is known at its end."""
        told = tuple(self.proving.notes()) if self.proving else ()
        return replace(report, notes=(*report.notes, *told))


def _bytes_of(model: Path) -> int:
    return sum(path.stat().st_size for path in model.parent.iterdir() if path.name.startswith(model.name))
