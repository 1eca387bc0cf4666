"""The commands: what each is for, and the file that it is in."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

__all__ = ["SUMMARIES", "load", "summary"]

SUMMARIES = {
    "demo": "Quantize a small network that ships with the package, prove it and measure it; under a minute.",
    "quantize": "Turn a float model into an int8 one, and prove it on the runtime that it is for.",
    "calibrate": "Run a float model over some samples and keep what its tensors hold; one record serves every target.",
    "evaluate": "Measure how good a model is, float or int8, on labelled data: accuracy, box AP or mIoU, by its task.",
    "compare": "Show where the error of an int8 model arises: tensor by tensor, worst first, with the likely cause.",
    "export": "Write a model, float or int8, with what its users need: boxes, classes of pixels or probabilities.",
    "predict": "Write what a model sees in images: pictures with boxes, colours or classes, and predictions.json.",
    "inspect": "Show which nodes of a model run in int8, their scales, and why the others do not.",
    "bench": "Measure latency and throughput of several models side by side.",
    "doctor": "Say what this machine can do: instruction sets, runtimes, and the gain to expect from int8.",
    "advise": "Say which method fits a float model, and why, with the commands to run.",
    "cache": "Show or clear the calibration records that tinyint keeps for later runs.",
    "train": "Train a float model for classes, boxes or pixels: a network of the zoo, your own, or an ONNX file.",
    "qat": "Train a float model on with int8 arithmetic simulated, and keep the best int8 model in DIR/best_model.",
    "recipe": "Show recipes, or convert one from PaddleSlim.",
    "zoo": "List and export the reference networks (needs tinyint\\[zoo]).",
    "data": "Make data to try things on, in the real formats.",
}
"""The first sentence of each command's own help, so that the list of them imports none."""

_FILES = {"calibrate": "quantize", "compare": "evaluate", "doctor": "machine", "cache": "machine"}
_RUNS = {"train", "qat"}


def summary(name: str) -> TyperCommand:
    """The command in a list of commands."""
    return TyperCommand(name, help=SUMMARIES[name])


def load(name: str) -> Any:
    """The command, or group of commands, with its options."""
    from tinyint.cli.paddle_options import names_paddle_files
    from tinyint.cli.run_command import RunCommand

    body = getattr(import_module(f"tinyint.cli.{_FILES.get(name, name)}"), name)
    if isinstance(body, typer.Typer):
        return typer.main.get_command(body)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    if name in _RUNS:
        alone.command(name, cls=RunCommand)(body)
    else:
        alone.command(name)(names_paddle_files(body))
    return typer.main.get_command(alone)
