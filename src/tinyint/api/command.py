"""Command line that quantizes the same again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from tinyint.api.given_model import Model
from tinyint.data import Samples
from tinyint.loading import PaddleFiles
from tinyint.quantization.recipe_source import ChangedRecipe, RecipeSource
from tinyint.runtimes.run import Run
from tinyint.targets import Target

__all__ = ["RECIPE_FILE", "quantize_command"]

RECIPE_FILE = "recipe.yaml"
"""Stands in the command for a recipe that is in no file; the report holds it."""


def quantize_command(
    model: Model,
    samples: Samples,
    output: Path | None,
    recipe: RecipeSource,
    target: Target,
    calibration: object,
    run: Run,
) -> str | None:
    """Command of `quantize`; None where model, data, output or record are no files."""
    if output is None or not isinstance(model, str | Path | PaddleFiles):
        return None
    if not isinstance(samples.data, str | Path | None) or not isinstance(calibration, str | Path | None):
        return None
    if not isinstance(samples.preprocessing, str | Path | None) or samples.skip:
        return None
    words = [
        "tinyint",
        "quantize",
        *_of_model(model),
        "-o",
        str(output),
        *_of_samples(samples),
        *([] if calibration is None else ["--calibration", str(calibration)]),
        *_of_recipe(recipe),
        "--target",
        target.name,
        *_of_run(run),
    ]
    return shlex.join(words)


def _of_model(model: str | Path | PaddleFiles) -> Iterator[str]:
    if not isinstance(model, PaddleFiles):
        yield str(model)
        return
    yield str(model.program.parent)
    yield from ("--model-filename", model.program.name)
    if model.parameters.is_file():
        yield from ("--params-filename", model.parameters.name)


def _of_samples(samples: Samples) -> Iterator[str]:
    if samples.data is not None:
        yield from ("--data", str(samples.data))
    if samples.limit is not None:
        yield from ("--samples", str(samples.limit))
    if samples.preprocessing is not None:
        yield from ("--preprocessing", str(samples.preprocessing))
    if samples.on_error != "stop":
        yield from ("--on-error", samples.on_error)


def _of_recipe(recipe: RecipeSource) -> Iterator[str]:
    changed = recipe if isinstance(recipe, ChangedRecipe) else ChangedRecipe(recipe, ())
    named = isinstance(changed.recipe, str | Path)
    yield from ("--recipe", str(changed.recipe) if named else RECIPE_FILE)
    for setting in changed.settings:
        yield from ("--set", setting)


def _of_run(run: Run) -> Iterator[str]:
    if run.threads is not None:
        yield from ("--threads", str(run.threads))
    if run.batch_size != 1:
        yield from ("--batch-size", str(run.batch_size))
    if run.provider != "cpu":
        yield from ("--provider", run.provider)
    if run.race is not None:
        yield from ("--race", f"{run.race:g}")
    if not run.verify:
        yield "--no-verify"
