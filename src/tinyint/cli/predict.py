"""`tinyint predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyint import api
from tinyint.cli.options import (
    IouThreshold,
    Json,
    MaxDetections,
    Model,
    OnError,
    PreprocessingFile,
    Runtime,
    Samples,
    ScoreThreshold,
    Task,
    Threads,
)
from tinyint.cli.screen import Screen
from tinyint.postprocess import Suppression
from tinyint.report.words import counted

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
_SURE = 0.3  # the score from which a box is shown


def predict(
    model: Model,
    data: Input,
    output: Output,
    task: Task = None,
    runtime: Runtime = None,
    threads: Threads = None,
    samples: Samples = None,
    preprocessing: PreprocessingFile = None,
    score_threshold: ScoreThreshold = None,
    iou_threshold: IouThreshold = None,
    max_detections: MaxDetections = None,
    on_error: OnError = "stop",
    json: Json = False,
) -> None:
    """Write what a model sees in images: pictures with boxes, colours or probabilities, and predictions.json.

    Boxes of scores below 0.3 are left out, unless --score-threshold says otherwise.

    Examples:

        tinyint predict detector.int8.onnx --input photos/ -o seen --score-threshold 0.5

        tinyint predict classifier.int8.onnx --input photo.jpg -o seen
    """
    screen = Screen(json)
    with screen.progress() as progress:
        found = api.predict(
            model,
            data,
            output,
            task=task,
            runtime=runtime,
            threads=threads,
            samples=samples,
            preprocessing=preprocessing,
            nms=_suppression(score_threshold, iou_threshold, max_detections),
            on_error=on_error,
            progress=progress,
        )
    screen.note(*found.notices)
    document = {
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


def _suppression(score: float | None, iou: float | None, most: int | None) -> Suppression | None:
    """None where nothing was asked for, which tasks without boxes refuse."""
    if score is None and iou is None and most is None:
        return None
    plain = Suppression()
    return Suppression(
        score_threshold=_SURE if score is None else score,
        iou_threshold=plain.iou_threshold if iou is None else iou,
        max_detections=plain.max_detections if most is None else most,
    )
