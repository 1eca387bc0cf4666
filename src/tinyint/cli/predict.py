"""`tinyint predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyint import api
from tinyint.api.predict import SURE
from tinyint.cli.options import (
    Json,
    Model,
    OnError,
    PreprocessingFile,
    Runtime,
    SampleCount,
    Task,
    Threads,
)
from tinyint.cli.screen import Screen
from tinyint.cli.spread import spread
from tinyint.cli.suppression_options import SuppressionOptions
from tinyint.data import Samples
from tinyint.report.words import counted
from tinyint.runtimes.run import Run
from tinyint.tasks.tails import Suppression

if TYPE_CHECKING:
    from tinyint.cli.documents import PredictDocument

__all__ = ["predict"]

Input = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="DIR|FILE",
        help="Images, a table of texts (.tsv), or whatever --data of other commands takes; no labels are needed.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="OUTDIR", help="A directory for the results.", show_default=False),
]


@spread
def predict(
    model: Model,
    data: Input,
    output: Output,
    task: Task = None,
    runtime: Runtime = None,
    threads: Threads = None,
    samples: SampleCount = None,
    preprocessing: PreprocessingFile = None,
    *,
    suppression: SuppressionOptions,
    on_error: OnError = "stop",
    json: Json = False,
) -> None:
    """Write predictions on images: pictures with boxes, colours or classes, and predictions.json.

    Boxes of scores below 0.3 are left out, unless --score-threshold says otherwise.

    Examples:

        tinyint predict detector.int8.onnx --input photos/ -o seen --score-threshold 0.5

        tinyint predict classifier.int8.onnx --input photo.jpg -o seen
    """
    screen = Screen(json)
    with screen.progress() as progress:
        found = api.predict(
            model,
            Samples(data, limit=samples, preprocessing=preprocessing, on_error=on_error),
            output,
            task=task,
            runtime=runtime,
            nms=suppression.over(Suppression(score_threshold=SURE)) if suppression.given else None,
            run=Run(threads=threads, progress=progress),
        )
    screen.note(*found.notices)
    document: PredictDocument = {
        "model": str(model),
        "task": found.task,
        "output": str(output),
        "predictions": str(found.predictions),
        "samples": found.samples,
        "pictures": found.pictures,
        "notices": found.notices,
    }
    pictures = f", {counted(found.pictures, 'picture')}" if found.pictures else ""
    screen.show(
        document, f"{found.predictions}: {found.task} of {counted(found.samples, 'sample')}{pictures}"
    )
