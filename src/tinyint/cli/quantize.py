"""`tinyint quantize` and `tinyint calibrate`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyint import api
from tinyint.cli.budget_options import BudgetOptions, show_within
from tinyint.cli.exit_codes import ExitCode
from tinyint.cli.options import (
    CalibrationOptions,
    Data,
    FoldPreprocessing,
    FoldResize,
    Json,
    Model,
    NeededData,
    NoVerify,
    OnError,
    PreprocessingFile,
    Race,
    RecipeName,
    Record,
    Settings,
    Strict,
    Target,
    Threads,
)
from tinyint.cli.screen import Screen
from tinyint.cli.spread import spread
from tinyint.data import Samples
from tinyint.files import require_writable
from tinyint.proof import Report
from tinyint.quantization.recipe_source import ChangedRecipe
from tinyint.report.terminal import render
from tinyint.report.words import counted

if TYPE_CHECKING:
    from tinyint.cli.documents import CalibrateDocument

__all__ = ["calibrate", "quantize"]


@spread
def quantize(
    model: Model,
    calibrating: CalibrationOptions,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Where to write the int8 model.", show_default=False
        ),
    ],
    data: Data = None,
    recipe: RecipeName = "default",
    settings: Settings = None,
    target: Target = None,
    calibration: Record = None,
    preprocessing: PreprocessingFile = None,
    fold_preprocessing: FoldPreprocessing = False,
    fold_resize: FoldResize = False,
    within: BudgetOptions = BudgetOptions(),
    on_error: OnError = "stop",
    race: Race = None,
    no_verify: NoVerify = False,
    strict: Strict = False,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Turn a float model into an int8 one, and prove it on its runtime.

    Beside OUT appear its calibration record and its report (JSON and HTML).

    Examples:

        tinyint quantize model.onnx -o model.int8.onnx --data images/

        tinyint quantize output/best_model -o int8.onnx --data data/cityscapes:train

        tinyint quantize model.onnx -o small.onnx --recipe weight_only

        tinyint quantize model.onnx -o ov.onnx --calibration RECORD --target openvino

        tinyint quantize model.onnx -o out.onnx --data images/ --set calibration=kl --race --strict

        tinyint quantize model.onnx -o out.onnx --data images/ --preprocessing p.yaml --fold-preprocessing

        tinyint quantize model.onnx -o out.onnx --data val/ --max-drop 0.3 --time 10m
    """
    screen = Screen(json)
    budget = within.budget(calibration)
    samples = Samples(data, limit=calibrating.limit, preprocessing=preprocessing, on_error=on_error)
    chosen = ChangedRecipe(recipe, (*(settings or ()), *_folding(fold_preprocessing, fold_resize)))
    with screen.progress() as progress:
        run = calibrating.run(threads=threads, verify=not no_verify, race=race, progress=progress)
        make: Callable[..., api.Result | api.WithinBudget] = partial(api.quantize, calibration=calibration)
        if budget is not None:
            make = partial(api.quantize_within, budget=budget)
        found = make(model, samples, output=output, recipe=chosen, target=target, run=run)
    if isinstance(found, api.WithinBudget):
        show_within(screen, found, strict=strict)
    else:
        _show(screen, found.report, strict=strict)


def _folding(preprocessing: bool, resize: bool) -> list[str]:
    """Setting of the recipe for the options of folding."""
    folded = "resize" if resize else "true" if preprocessing else None
    return [f"fold_preprocessing={folded}"] if folded else []


def _show(screen: Screen, report: Report, *, strict: bool) -> None:
    screen.show(report.to_json(), render(report))
    if screen.json:
        for warning in report.warnings:
            screen.warn(warning)
    if strict and report.verdict.bad:
        raise typer.Exit(ExitCode.NOT_MET)


@spread
def calibrate(
    model: Model,
    calibrating: CalibrationOptions,
    data: NeededData,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="RECORD", help="Where to write the record (.npz).")
    ],
    preprocessing: PreprocessingFile = None,
    on_error: OnError = "stop",
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Run a float model over samples and keep the record, for every target.

    An interrupted calibration goes on where it stopped.

    Example:

        tinyint calibrate model.onnx --data images/ -o model.calibration.npz
    """
    samples = Samples(data, limit=calibrating.limit, preprocessing=preprocessing, on_error=on_error)
    require_writable(output, keep=(model, *samples.paths))
    screen, notices = Screen(json), list[str]()
    with screen.progress() as progress:
        record = api.calibrate(
            model,
            samples,
            run=calibrating.run(threads=threads, progress=progress, notice=notices.append),
        )
        record.save(output)
    screen.note(*notices)
    document: CalibrateDocument = {
        "output": str(output),
        "samples": record.samples,
        "tensors": len(record.summaries),
        "model_fingerprint": record.model_fingerprint,
        "data_fingerprint": f"{record.data_fingerprint:032x}",
    }
    screen.show(
        document,
        f"{counted(record.samples, 'sample')}, {counted(len(record.summaries), 'tensor')}: {output}",
        f"next: tinyint quantize {model} -o OUT --calibration {output}",
    )
