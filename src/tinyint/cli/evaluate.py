"""`tinyint evaluate`."""

from __future__ import annotations

from rich.table import Table

from tinyint import api
from tinyint.cli.options import (
    BatchSize,
    Json,
    Model,
    NeededData,
    PreprocessingFile,
    Runtime,
    Samples,
    Threads,
)
from tinyint.cli.screen import Screen
from tinyint.report.words import percent

__all__ = ["evaluate"]


def evaluate(
    model: Model,
    data: NeededData,
    runtime: Runtime = None,
    threads: Threads = None,
    batch_size: BatchSize = 1,
    samples: Samples = None,
    preprocessing: PreprocessingFile = None,
    json: Json = False,
) -> None:
    """Measure the accuracy of a classifier, float or int8, on labelled data.

    Examples:

        tinyint evaluate model.int8.onnx --data val/

        tinyint evaluate model.onnx --data val.npz --runtime openvino --batch-size 8
    """
    screen = Screen(json)
    with screen.progress() as progress:
        result = api.evaluate(
            model,
            data,
            runtime=runtime,
            threads=threads,
            batch_size=batch_size,
            samples=samples,
            preprocessing=preprocessing,
            progress=progress,
        )
    table = Table(title=f"{result.samples} samples, {result.classes} classes")
    for name in result.metrics:
        table.add_column(name, justify="right")
    table.add_row(*(percent(value, 2) for value in result.metrics.values()))
    screen.show({"model": str(model), **_document(result)}, table)


def _document(result: api.ClassificationResult) -> dict[str, object]:
    return {"metrics": result.metrics, "samples": result.samples, "classes": result.classes}
