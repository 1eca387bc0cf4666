"""`tinyint bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tinyint import api
from tinyint.cli.options import BatchSize, Data, Json, OnError, PreprocessingFile, Task, Threads
from tinyint.cli.screen import Screen
from tinyint.data import Samples
from tinyint.errors import DataError
from tinyint.proof.tester import Measurement, Performance
from tinyint.report.words import counted, percent, speed_change
from tinyint.runtimes.base import Precision
from tinyint.runtimes.run import Run

if TYPE_CHECKING:
    from tinyint.cli.documents import BenchDocument

__all__ = ["bench"]

_SHOWN = 20  # layers; JSON has all

Models = Annotated[
    list[Path], typer.Argument(metavar="MODEL...", help="ONNX files or Paddle models, float or int8.")
]
Runtimes = Annotated[
    list[str] | None,
    typer.Option(
        "--runtime",
        metavar="NAME",
        help="onnxruntime, openvino, or auto for the faster one; can be repeated. By default the one that each model "
        "is for.",
    ),
]
Warmup = Annotated[int, typer.Option(min=0, metavar="N", help="Calls before the clock starts.")]
Iterations = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Timed calls of each model: 100 by default; with --data, all that the samples give (0), or the first N.",
    ),
]
FloatType = Annotated[
    Precision | None, typer.Option(help="Of what is not quantized, where the runtime has a choice.")
]
Shapes = Annotated[
    list[str] | None,
    typer.Option(metavar="INPUT=DIMS", help="The shape of an input that is open, such as ids=1,128."),
]
Accuracy = Annotated[
    bool, typer.Option("--with-accuracy", help="Judge the outputs by the metrics of the task; needs --data.")
]
Profile = Annotated[
    bool, typer.Option("--profile", help="Show the time of each layer, with its precision, in further calls.")
]


def bench(
    models: Models,
    data: Data = None,
    runtime: Runtimes = None,
    threads: Threads = None,
    batch_size: BatchSize = 1,
    warmup: Warmup = 10,
    iterations: Iterations = None,
    with_accuracy: Accuracy = False,
    profile: Profile = False,
    task: Task = None,
    preprocessing: PreprocessingFile = None,
    on_error: OnError = "stop",
    precision: FloatType = None,
    shape: Shapes = None,
    json: Json = False,
) -> None:
    """Measure latency and throughput of several models side by side.

    The models take turns in one process, so that a change of the machine's mood hits all alike. They are fed random
    values, or samples, which with --with-accuracy judge them in the same pass.

    Examples:

        tinyint bench model.onnx model.int8.onnx --runtime onnxruntime --runtime openvino --threads 1

        tinyint bench model.int8.onnx --data val.bin --batch-size 50 --threads 1 --with-accuracy --profile
    """
    screen, told = Screen(json), list[str]()
    samples = Samples(data, preprocessing=preprocessing, on_error=on_error)
    with screen.progress() as progress:
        results = api.benchmark(
            models,
            None if data is None else samples,
            runtimes=runtime or (),
            task=task,
            measure=Measurement(
                warmup=warmup,
                iterations=iterations,
                precision=precision,
                shapes=dict(_shape(text) for text in shape or ()),
                accuracy=with_accuracy,
                profile=profile,
            ),
            run=Run(threads=threads, batch_size=batch_size, progress=progress, notice=told.append),
        )
    screen.note(*told)
    tables = [_timings(results), *_metrics(results), *map(_layers, results if profile else ())]
    document: BenchDocument = {"results": results, "notices": told}
    screen.show(document, *tables)


def _timings(results: Sequence[Performance]) -> Table:
    """One row a model and runtime; speed is relative to the first."""
    first = results[0]
    table = Table(
        title=f"{counted(first.threads, 'thread')}, batch {first.batch_size}, {first.iterations} calls each"
    )
    table.add_column("model", overflow="fold")
    for column in ("runtime", "float type"):
        table.add_column(column)
    for column in ("median ms", "90 % ms", "99 % ms", "min ms", "images/s", "speed"):
        table.add_column(column, justify="right")
    for result in results:
        table.add_row(
            escape(result.model),
            result.runtime,
            result.precision,
            f"{result.median_ms:.3f}",
            f"{result.p90_ms:.3f}",
            f"{result.p99_ms:.3f}",
            f"{result.min_ms:.3f}",
            f"{result.images_per_second:.1f}",
            speed_change(first.median_ms / result.median_ms) if result.median_ms else "",
        )
    return table


def _metrics(results: Sequence[Performance]) -> list[Table]:
    """One row a model and runtime; metrics that these classes or samples do not define are left out."""
    first = results[0]
    if first.metrics is None:
        return []
    names = [name for name, value in first.metrics.items() if value is not None]
    table = Table(title=f"{first.task}: {counted(first.samples or 0, 'sample')}")
    table.add_column("model", overflow="fold")
    table.add_column("runtime")
    for name in names:
        table.add_column(name, justify="right")
    for result in results:
        values = (percent((result.metrics or {})[name], 2) for name in names)
        table.add_row(escape(result.model), result.runtime, *values)
    return [table]


def _layers(result: Performance) -> Table:
    """Slowest layers first."""
    layers = sorted(result.layers or (), key=lambda layer: -layer.ms)
    total = sum(layer.ms for layer in layers) or 1.0
    table = Table(
        title=escape(
            f"{result.model} on {result.runtime}: {total:.3f} ms in {counted(len(layers), 'layer')}, "
            f"the {min(_SHOWN, len(layers))} slowest"
        )
    )
    for column in ("layer", "operator", "precision"):
        table.add_column(column, overflow="fold")
    for column in ("ms", "share"):
        table.add_column(column, justify="right")
    for layer in layers[:_SHOWN]:
        share = percent(layer.ms / total, 1)
        table.add_row(escape(layer.name), layer.op, layer.precision, f"{layer.ms:.3f}", share)
    return table


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, dims = text.rpartition("=")
    try:
        shape = tuple(int(dim) for dim in dims.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not equals or not shape or min(shape) < 1:
        raise DataError(f"--shape {text!r}: expected INPUT=DIMS with whole numbers, such as ids=1,128")
    return name, shape
