"""`tinyint evaluate` and `tinyint compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
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
from tinyint.report.words import counted, decibels, percent

__all__ = ["compare", "evaluate"]


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
    title = f"{counted(result.samples, 'sample')}, {result.classes} classes"
    table = Table(title=title, min_width=len(title))
    for name in result.metrics:
        table.add_column(name, justify="right")
    table.add_row(*(percent(value, 2) for value in result.metrics.values()))
    screen.show({"model": str(model), **_document(result)}, table)


def _document(result: api.ClassificationResult) -> dict[str, object]:
    return {"metrics": result.metrics, "samples": result.samples, "classes": result.classes}


def compare(
    float_model: Annotated[
        Path, typer.Argument(metavar="FLOAT", help="The float model.", show_default=False)
    ],
    int8_model: Annotated[
        Path, typer.Argument(metavar="INT8", help="What was made of it.", show_default=False)
    ],
    data: NeededData,
    samples: Annotated[int, typer.Option(min=1, metavar="N", help="Use the first N samples.")] = 16,
    top: Annotated[
        int, typer.Option(min=1, metavar="N", help="Show the N worst tensors; JSON has all.")
    ] = 20,
    preprocessing: PreprocessingFile = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Show where the error of an int8 model arises: tensor by tensor, worst first, with the likely cause.

    Local is the error of a tensor's own rounding and clipping; cumulative is all that has built up to there.

    Example:

        tinyint compare model.onnx model.int8.onnx --data images/
    """
    found = api.compare(
        float_model, int8_model, data, samples=samples, threads=threads, preprocessing=preprocessing
    )
    table = Table(
        title=f"SQNR on {counted(found.samples, 'sample')}: the {min(top, len(found.rows))} worst of {len(found.rows)}"
    )
    for column in ("tensor", "operator", "kind"):
        table.add_column(column, overflow="fold")
    for column in ("local", "cumulative"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("cause", overflow="fold")
    for row in found.rows[:top]:
        cause = f"{row.cause}: {row.detail}" if row.detail else str(row.cause)
        levels = decibels(row.local_db), decibels(row.cumulative_db)
        table.add_row(escape(row.name), row.op, row.kind, *levels, escape(cause))
    notes = [f"not in the float model: {', '.join(found.unmatched)}"] if found.unmatched else []
    document = {"float": str(float_model), "int8": str(int8_model), "samples": found.samples}
    Screen(json).show({**document, "tensors": found.rows, "unmatched": found.unmatched}, table, *notes)
