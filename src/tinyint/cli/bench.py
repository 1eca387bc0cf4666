"""`tinyint bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tinyint import api
from tinyint.cli.options import BatchSize, Json, Threads
from tinyint.cli.screen import Screen
from tinyint.errors import DataError
from tinyint.proof.bench import Timing
from tinyint.report.words import counted, speed_change
from tinyint.runtimes.base import Precision

__all__ = ["bench"]


def bench(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="ONNX files or Paddle models, float or int8.")
    ],
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            "--runtime",
            metavar="NAME",
            help="onnxruntime or openvino; can be repeated. By default the one that each model is for.",
        ),
    ] = None,
    threads: Threads = None,
    batch_size: BatchSize = 1,
    warmup: Annotated[int, typer.Option(min=0, metavar="N", help="Calls before the clock starts.")] = 10,
    iterations: Annotated[int, typer.Option(min=1, metavar="N", help="Timed calls of each model.")] = 100,
    precision: Annotated[
        Precision | None, typer.Option(help="Of what is not quantized, where the runtime has a choice.")
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="INPUT=DIMS", help="The shape of an input that is open, such as ids=1,128."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure latency and throughput of several models side by side.

    The models take turns in one process, so that a change of the machine's mood hits all alike.

    Example:

        tinyint bench model.onnx model.int8.onnx --runtime onnxruntime --runtime openvino --threads 1
    """
    timings = api.benchmark(
        models,
        runtimes=runtime or (),
        threads=threads,
        batch_size=batch_size,
        warmup=warmup,
        iterations=iterations,
        precision=precision,
        shapes=dict(_shape(text) for text in shape or ()),
    )
    Screen(json).show({"results": timings}, table(timings))


def table(timings: list[Timing]) -> Table:
    """One row a timing; speed is relative to the first."""
    first = timings[0]
    made = Table(
        title=f"{counted(first.threads, 'thread')}, batch {first.batch_size}, {first.iterations} calls each"
    )
    made.add_column("model", overflow="fold")
    for column in ("runtime", "float type"):
        made.add_column(column)
    for column in ("median ms", "90 % ms", "min ms", "images/s", "speed"):
        made.add_column(column, justify="right")
    for timing in timings:
        made.add_row(
            escape(timing.model),
            timing.runtime,
            timing.precision,
            f"{timing.median_ms:.3f}",
            f"{timing.p90_ms:.3f}",
            f"{timing.min_ms:.3f}",
            f"{timing.images_per_second:.1f}",
            speed_change(first.median_ms / timing.median_ms) if timing.median_ms else "",
        )
    return made


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, dims = text.rpartition("=")
    try:
        shape = tuple(int(dim) for dim in dims.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not equals or not shape or min(shape) < 1:
        raise DataError(f"--shape {text!r}: expected INPUT=DIMS with whole numbers, such as ids=1,128")
    return name, shape
