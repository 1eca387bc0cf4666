"""`tinyint export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyint import api
from tinyint.cli.options import Json, Model, Task
from tinyint.cli.screen import Screen
from tinyint.cli.spread import spread
from tinyint.cli.suppression_options import SuppressionOptions
from tinyint.errors import DataError
from tinyint.tasks.tails import Suppression

if TYPE_CHECKING:
    from tinyint.cli.documents import ExportDocument

__all__ = ["export"]

Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="OUT", help="Where to write the ONNX file.", show_default=False),
]
WithSoftmax = Annotated[
    bool, typer.Option("--with-softmax", help="Give the probabilities of classes, also of each pixel's.")
]
WithoutArgmax = Annotated[
    bool, typer.Option("--without-argmax", help="Segmentation: give logits, not the class of each pixel.")
]
Nms = Annotated[bool, typer.Option("--nms", help="Detection: apply NMS to overlapping boxes.")]


@spread
def export(
    model: Model,
    output: Output,
    task: Task = None,
    with_softmax: WithSoftmax = False,
    without_argmax: WithoutArgmax = False,
    nms: Nms = False,
    *,
    suppression: SuppressionOptions,
    json: Json = False,
) -> None:
    """Write a model with its postprocessing: boxes, classes of pixels or probabilities.

    Detection gives boxes (N, M, 4) and scores (N, C, M), with --nms detections (K, 7): image, class, score, x1, y1, x2,
    y2. Segmentation gives labels (N, H, W), with --with-softmax probabilities (N, C, H, W).

    Examples:

        tinyint export detector.int8.onnx -o deploy.onnx --nms --score-threshold 0.25

        tinyint export classifier.int8.onnx -o deploy.onnx --with-softmax
    """
    if suppression.given and not nms:
        raise DataError(
            f"--{next(iter(suppression.given)).replace('_', '-')} is for --nms; give that as well"
        )
    done = api.export(
        model,
        output,
        task=task,
        with_softmax=with_softmax,
        without_argmax=without_argmax,
        nms=suppression.over(Suppression()) if nms else None,
    )
    behind = f"with {done.postprocessing}" if done.postprocessing else "as it was"
    document: ExportDocument = {
        "output": str(done.path),
        "task": done.task,
        "postprocessing": done.postprocessing,
        "outputs": done.outputs,
        "runtime": done.runtime,
        "int8_nodes": done.int8_nodes,
    }
    Screen(json).show(
        document,
        f"{done.path}: {done.task}, {behind}; outputs {', '.join(done.outputs)}",
        f"opened on {done.runtime}: {done.int8_nodes} nodes in int8"
        if done.int8_nodes
        else f"opened on {done.runtime}",
        f"next: tinyint predict {done.path} --input DIR -o OUTDIR",
    )
