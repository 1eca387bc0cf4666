"""Summaries and files of the commands."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

__all__ = ["SUMMARIES", "load", "summary"]

SUMMARIES = {
    "demo": "Quantize, prove and measure a small network of the package; under a minute.",
    "quantize": "Turn a float model into an int8 one, and prove it on its runtime.",
    "calibrate": "Run a float model over samples and keep the record, for every target.",
    "evaluate": "Measure a model on labelled data: accuracy, box AP or mIoU by its task.",
    "compare": "Show where the error of an int8 model arises, tensor by tensor.",
    "check": "Compare a report with an earlier one; fail where accuracy, speed or coverage fell.",
    "preprocess": "Write images, preprocessed, with their labels to one data file.",
    "export": "Write a model with its postprocessing: boxes, classes of pixels or probabilities.",
    "predict": "Write predictions on images: pictures with boxes, colours or classes, and predictions.json.",
    "inspect": "Show nodes in int8, their scales, and reasons for the others.",
    "bench": "Measure latency and throughput of several models side by side.",
    "doctor": "Show this machine's instruction sets and runtimes, and the gain from int8.",
    "advise": "Say which method fits a float model, and why, with the commands to run.",
    "cache": "Show or clear what is kept for later runs: calibration records, fastest runtimes, races.",
    "train": "Train a float model of the zoo, your own, or an ONNX file.",
    "qat": "Train a float model in simulated int8; keep the best in DIR/best_model.",
    "recipe": "Show recipes, or convert one from PaddleSlim.",
    "zoo": "List and export the reference networks (needs tinyint\\[zoo]).",
    "data": "Make data to try things on, in the real formats.",
}
"""The first sentence of each command's own help, so that the list of them imports none."""

_FILES = {"calibrate": "quantize", "doctor": "machine", "cache": "machine"}
_RUNS = {"train", "qat"}


def summary(name: str) -> TyperCommand:
    """The command in a list of commands."""
    return TyperCommand(name, help=SUMMARIES[name])


def load(name: str) -> Any:
    """The command, or group of commands, with its options."""
    from tinyint.cli.paddle_options import names_paddle_files
    from tinyint.cli.race_command import RaceCommand
    from tinyint.cli.run_command import RunCommand

    body = getattr(import_module(f"tinyint.cli.{_FILES.get(name, name)}"), name)
    if isinstance(body, typer.Typer):
        return typer.main.get_command(body)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    if name in _RUNS:
        alone.command(name, cls=RunCommand)(body)
    else:
        alone.command(name, cls=RaceCommand if name == "quantize" else None)(names_paddle_files(body))
    return typer.main.get_command(alone)
