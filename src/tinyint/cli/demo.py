"""`tinyint demo`: the main path on a model and data in the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from tinyint import api
from tinyint.cli.options import Json, Target, Threads
from tinyint.cli.screen import Screen
from tinyint.data import Samples
from tinyint.errors import OutputError
from tinyint.extras.demo import demo_data, demo_model_path
from tinyint.report.terminal import render
from tinyint.report.words import percent
from tinyint.runtimes.run import Run

__all__ = ["demo"]


def demo(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The directory to write to; it is made if need be."
        ),
    ] = Path("tinyint-demo"),
    target: Target = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Quantize, prove and measure a small network of the package; under a minute.

    The network is a MobileNetV2 that reads handwritten digits; the images of the test were never shown to it.

    Example:

        tinyint demo
    """
    screen = Screen(json)
    images, _ = demo_data("calibration")
    unseen, labels = demo_data("test")
    model, int8 = demo_model_path(), _directory(output) / "digits.int8.onnx"
    screen.tell(f"{len(images)} images to calibrate, {len(unseen)} held out; writing to {output}/")
    with screen.progress() as progress:
        run = Run(threads=threads, progress=progress)
        result = api.quantize(
            model,
            Samples(np.concatenate([images, unseen]), limit=len(images)),
            output=int8,
            target=target,
            run=run,
        )
        test = {"input": unseen, "label": labels}
        runtime = result.report.runtime
        accuracy = {
            "float": api.evaluate(model, test, runtime=runtime, run=run).metrics,
            "int8": api.evaluate(int8, test, runtime=runtime, run=run).metrics,
        }
    title = f"accuracy on {len(unseen)} unseen images"
    table = Table(title=title, min_width=len(title))
    for column in ("", "top-1", "top-5"):
        table.add_column(column, justify="right" if column else "left")
    for name, metrics in accuracy.items():
        table.add_row(name, percent(metrics["top1"]), percent(metrics["top5"]))
    screen.show(
        {**result.report.to_json(), "accuracy": accuracy, "test_samples": len(unseen)},
        render(result.report, hints=False),
        table,
        f"report: {int8.with_name('digits.int8.report.html')}",
        f"next: tinyint inspect {int8}",
        "next: tinyint quantize MODEL -o OUT --data DATA    the same with a model of yours",
    )


def _directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the directory '{path}': {error.strerror}; choose another with -o"
        ) from error
    return path
