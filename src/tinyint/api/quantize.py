"""The verb `quantize`: float model and samples → int8 model, record, proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from tinyint.api.beside import Beside
from tinyint.api.command import quantize_command
from tinyint.api.given_model import GivenModel, Model
from tinyint.api.layering import Kept, with_layers
from tinyint.api.proving import proof_data
from tinyint.api.racing import raced, require_race
from tinyint.api.resizing import require_resizable
from tinyint.data import Data, Dataset, Declaration, Samples, input_specs
from tinyint.errors import DataError, TinyintError
from tinyint.files import followed
from tinyint.graph.io import save_model
from tinyint.proof import Report, Sizes, prove
from tinyint.proof.placement_race import PlacementRace
from tinyint.quantization.calibrated import Calibration, RecordSource
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.pixels import PixelInput
from tinyint.quantization.ptq import Quantized, Source, source_of
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe_source import ChangedRecipe, RecipeSource, resolve_recipe
from tinyint.runtimes.base import TensorSpec
from tinyint.runtimes.run import Run
from tinyint.targets import Target, get_target

__all__ = ["Result", "quantize"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Int8 model, proof, calibration record (static method), and paths."""

    model: ir.Model
    report: Report
    record: CalibrationRecord | None
    path: Path | None

    def _repr_html_(self) -> str:
        """HTML fragment of the report, by which notebooks show the result."""
        return self.report._repr_html_()


def quantize(
    model: Model,
    data: Data | None = None,
    *,
    output: str | Path | None = None,
    recipe: RecipeSource = "default",
    target: str | None = None,
    calibration: RecordSource | None = None,
    run: Run | None = None,
) -> Result:
    """Quantizes a float model for a target, and proves it on its runtime.

    The target is this machine, if none is named.

    The first samples of `data` calibrate: its limit (`Samples`), or as many as the recipe says; those after them are
    held out for the proof. `calibration` is a record to use instead. With `output`, the model, its record and its
    report are written there: all of them or none. Samples that are skipped are counted in the report's notes.
    With `Run.race`, placements of int8 are raced on the runtime, and the fastest accurate one is kept and remembered.

    Raises TinyintError: what is wrong with the model, the data, the recipe, the target, the record or the place.
    """
    run, samples, place = run or Run(), Samples.of(data), None if output is None else followed(output)
    chosen, notes = resolve_recipe(recipe)
    goal, source, beside = get_target(target), GivenModel.of(model), Beside.of(place, calibration)
    static = chosen.method == "static"
    _require_effect(run, chosen, calibration, goal, samples)
    read = (model, calibration, _written(recipe), *source.files, *samples.paths)
    with beside.staged(read, with_record=static) as scratch:
        run.progress("prepare", 0, None)
        record = _needed_record(static, samples, calibration)
        ranges = Calibration.of(samples, source.model, chosen, record=record, run=run)
        declared = ranges.preprocessing or samples.declared(source.model.metadata_props)
        pixels = _pixels(source.model, declared, chosen, ranges.data if run.verify or run.race else None)
        ready = source_of(
            source.model, target=goal, recipe=chosen, calibration=ranges, pixels=pixels, name=source.name
        )
        specs = input_specs(ready.graph if pixels and pixels.resizes else source.model)
        quantized, race = _placed(ready, source, samples, ranges, specs, run)
        run.progress("write", 0, None)
        beside.mark(quantized, declared if pixels is None else pixels.declaration)
        written = scratch / beside.model.name
        save_model(quantized.model, written)
        proof = proof_data(samples, ranges, quantized.record, specs, run, pixels) if run.verify else None
        kept = Kept.of(proof)
        report = prove(
            quantized,
            float_model=source.runnable if pixels is None else quantized.prepared,
            int8_model=written,
            sizes=Sizes(baseline=source.size(), int8=_bytes_of(written)),
            source=source.name,
            output=place,
            samples=kept.proof,
            verified=run.verify,
            threads=run.threads,
            notes=[*notes, *quantized.notes, *ranges.notices, *(pixels.notes() if pixels else ())],
        ).with_race(race)
        command = quantize_command(model, samples, place, recipe, goal, calibration, run)
        report = with_layers(replace(report, command=command), quantized, written, kept, run)
        beside.write(scratch, quantized.record, report)
    return Result(model=quantized.model, report=report, record=quantized.record, path=place)


def _placed(
    ready: Source,
    source: GivenModel,
    samples: Samples,
    ranges: Calibration,
    specs: Sequence[TensorSpec],
    run: Run,
) -> tuple[Quantized, PlacementRace | None]:
    """Model as planned; with `Run.race`, the winner of the race of its placements."""
    if run.race is None:
        return ready.quantized(), None
    return raced(ready, source.runnable, samples, ranges, specs, run)


def _require_effect(
    run: Run, recipe: Recipe, calibration: RecordSource | None, target: Target, samples: Samples
) -> None:
    """Raises TinyintError where an option of `run` is of no use."""
    if recipe.method != "static":
        _require_no_calibration(run, f"the method {recipe.method} calibrates nothing")
        if run.race is not None:
            raise TinyintError(
                f"--race (Run.race) has no effect: the method {recipe.method} places no operators; leave it out"
            )
    elif calibration is not None:
        _require_no_calibration(run, "the ranges are those of the record")
    if run.race is not None:
        require_race(run.race, target, samples)


def _pixels(
    model: ir.Model, declared: Declaration | None, recipe: Recipe, proving: Dataset | None
) -> PixelInput | None:
    """Input for pixels, where the recipe asks for it. Raises DataError where there can be none."""
    if not recipe.fold_preprocessing:
        return None
    resizes = recipe.fold_preprocessing == "resize"
    if resizes:
        require_resizable(model, proving)
    return PixelInput.of(model, declared, resizes=resizes)


def _require_no_calibration(run: Run, reason: str) -> None:
    """Raises TinyintError where an option of calibration is set."""
    for option in ("batch_size", "provider"):
        value = getattr(run, option)
        if value != getattr(Run, option):
            flag = option.replace("_", "-")
            raise TinyintError(f"--{flag} {value} (Run.{option}) has no effect: {reason}; leave it out")


def _written(recipe: RecipeSource) -> object:
    return recipe.recipe if isinstance(recipe, ChangedRecipe) else recipe


def _needed_record(static: bool, samples: Samples, record: RecordSource | None) -> RecordSource | None:
    """The record, where the method reads one. Raises DataError where that has nothing to calibrate on."""
    if static and samples.data is None and record is None:
        raise DataError(
            "the static method needs calibration samples: give data (--data), or a record of an earlier "
            "calibration (--calibration), or choose the recipe dynamic or weight_only, which need none"
        )
    return record if static else None


def _bytes_of(model: Path) -> int:
    return sum(path.stat().st_size for path in model.parent.iterdir() if path.name.startswith(model.name))
