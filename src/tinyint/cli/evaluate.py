"""`tinyint evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tinyint import api
from tinyint.cli.options import (
    BatchSize,
    Json,
    Model,
    NeededData,
    OnError,
    PreprocessingFile,
    Runtime,
    SampleCount,
    Skip,
    Task,
    Threads,
)
from tinyint.cli.screen import Screen
from tinyint.data import Samples
from tinyint.report.words import counted, percent, points, told_from_chance
from tinyint.runtimes.run import Run
from tinyint.tasks import TASKS
from tinyint.tasks.paired import Difference

if TYPE_CHECKING:
    from tinyint.cli.documents import DifferenceDocument, EvaluateDocument

__all__ = ["evaluate"]

_SHOWN = 40  # classes; JSON has all


def evaluate(
    model: Model,
    data: NeededData,
    task: Task = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FLOAT",
            help="Another model to judge on the same samples, such as the float one.",
        ),
    ] = None,
    runtime: Runtime = None,
    threads: Threads = None,
    batch_size: BatchSize = 1,
    samples: SampleCount = None,
    skip: Skip = 0,
    preprocessing: PreprocessingFile = None,
    on_error: OnError = "stop",
    json: Json = False,
) -> None:
    """Measure a model on labelled data: accuracy, box AP or mIoU by its task.

    With --against, every difference is told from chance by a paired test.

    Examples:

        tinyint evaluate model.int8.onnx --data val/

        tinyint evaluate model.int8.onnx --data val/ --against model.onnx

        tinyint evaluate detector/best_model --data coco/annotations/instances_val2017.json

        tinyint evaluate model.onnx --data val.npz --runtime openvino --batch-size 8
    """
    screen = Screen(json)
    with screen.progress() as progress:
        result = api.evaluate(
            model,
            Samples(data, limit=samples, skip=skip, preprocessing=preprocessing, on_error=on_error),
            task=task,
            against=against,
            runtime=runtime,
            run=Run(threads=threads, batch_size=batch_size, progress=progress),
        )
    screen.note(*result.notices)
    title = (
        f"{result.task}: {counted(result.samples, 'sample')}, {counted(result.classes, 'class', 'classes')}"
    )
    tables = [_metrics(title, result, str(model), str(against)), *_per_class(result)]
    verdicts = [f"{name}: {told_from_chance(found)}" for name, found in result.differences.items()]
    screen.show(_document(result, str(model), None if against is None else str(against)), *tables, *verdicts)


def _metrics(title: str, result: api.Evaluation, model: str, against: str) -> Table:
    """One row of metrics, or with another model a row a metric: both, and the difference in points.

    Metrics that these classes or samples do not define are left out.
    """
    table = Table(title=escape(title), min_width=len(title))
    shown = {name: value for name, value in result.metrics.items() if value is not None}
    if result.against is None:
        for name in shown:
            table.add_column(name, justify="right")
        table.add_row(*(percent(value, 2) for value in shown.values()))
        return table
    table.add_column("metric")
    for name in (against, model, "difference", "95 % interval"):
        table.add_column(escape(name), justify="right", overflow="fold")
    for name, value in shown.items():
        row = [name, percent(result.against.get(name), 2), percent(value, 2)]
        if found := result.differences.get(name):
            row += [points(found.value), f"{points(found.low)} to {points(found.high)}"]
        table.add_row(*row)
    return table


def _per_class(result: api.Evaluation) -> list[Table]:
    """What the task shows of each class, if there are not too many."""
    measure = TASKS[result.task].class_metric
    if measure is None or len(result.per_class) > _SHOWN:
        return []
    table = Table(title="by class")
    table.add_column("class")
    table.add_column(measure, justify="right")
    for name, value in result.per_class.items():
        table.add_row(escape(name), percent(value, 2))
    return [table]


def _document(result: api.Evaluation, model: str, against: str | None) -> EvaluateDocument:
    document: EvaluateDocument = {
        "model": model,
        "task": result.task,
        "metrics": result.metrics,
        "per_class": result.per_class,
        "samples": result.samples,
        "classes": result.classes,
        "notices": result.notices,
    }
    if against is not None:
        judged = {name: _judged(found) for name, found in result.differences.items()}
        document["against"] = {"model": against, "metrics": result.against, "differences": judged}
    return document


def _judged(found: Difference) -> DifferenceDocument:
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "test": found.test,
        "beyond_chance": found.beyond_chance,
    }
