"""`tinyint compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from tinyint import api
from tinyint.cli.options import Json, NeededData, OnError, PreprocessingFile, Task, Threads
from tinyint.cli.screen import Screen
from tinyint.cli.spread import spread
from tinyint.data import Samples
from tinyint.diagnosis.compare import Comparison
from tinyint.diagnosis.sensitivity import Sensitivity
from tinyint.errors import TinyintError
from tinyint.report.sensitivity_files import SensitivityFiles
from tinyint.report.unit_words import METHOD, headline, signed_ms
from tinyint.report.words import counted, decibels, percent
from tinyint.runtimes.run import Run

if TYPE_CHECKING:
    from tinyint.cli.documents import CompareDocument

__all__ = ["compare"]


@dataclass(frozen=True, kw_only=True)
class UnitOptions:
    """Options of the comparison unit by unit."""

    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity",
            help="Unit by unit: the error that quantizing it alone makes, what float would cost, the cause.",
        ),
    ] = False
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="With --sensitivity: write OUT.html, OUT.json, and overlays for Model Explorer.",
        ),
    ] = None
    task: Task = None

    def require_effect(self) -> None:
        """Raises TinyintError for an option without effect."""
        for flag, given in (("--output", self.output), ("--task", self.task)):
            if given is not None and not self.sensitivity:
                raise TinyintError(
                    f"{flag} {given} has no effect without --sensitivity; leave it out, or add that"
                )


@spread
def compare(
    float_model: Annotated[
        Path, typer.Argument(metavar="FLOAT", help="The float model.", show_default=False)
    ],
    int8_model: Annotated[
        Path, typer.Argument(metavar="INT8", help="What was made of it.", show_default=False)
    ],
    data: NeededData,
    units: UnitOptions,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Use the first N samples: 16, or with --sensitivity as many as take about 640 float passes.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Show the N worst rows; JSON has all.")] = 20,
    preprocessing: PreprocessingFile = None,
    on_error: OnError = "stop",
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Show where the error of an int8 model arises, tensor by tensor.

    Local is the error of a tensor's own rounding and clipping; cumulative is all that has built up to there.

    Examples:

        tinyint compare model.onnx model.int8.onnx --data images/

        tinyint compare model.onnx model.int8.onnx --data val/ --sensitivity -o sensitivity
    """
    units.require_effect()
    screen = Screen(json)
    wanted = Samples(data, limit=samples, preprocessing=preprocessing, on_error=on_error)
    if units.sensitivity:
        _show_units(screen, (float_model, int8_model), wanted, units, threads, top)
        return
    found = api.compare(float_model, int8_model, wanted, run=Run(threads=threads))
    screen.note(*found.notices)
    document: CompareDocument = {
        "float": str(float_model),
        "int8": str(int8_model),
        "samples": found.samples,
        "tensors": found.rows,
        "unmatched": found.unmatched,
        "unlike": found.unlike,
    }
    screen.show(document, _tensors(found, top), *_notes(found))


def _show_units(
    screen: Screen,
    given: tuple[Path, Path],
    samples: Samples,
    options: UnitOptions,
    threads: int | None,
    top: int,
) -> None:
    files = None
    if options.output is not None:
        files = SensitivityFiles.at(options.output, keep=(*given, *samples.paths))
    with screen.progress() as progress:
        found = api.sensitivity(
            *given, samples, task=options.task, run=Run(threads=threads, progress=progress)
        )
    screen.note(*found.notices)
    models = {"float": str(given[0]), "int8": str(given[1])}
    written = [] if files is None else [f"written: {path}" for path in files.write(found, models)]
    screen.show({**models, **vars(found)}, headline(found), _units(found, top), METHOD, *written)


def _tensors(found: Comparison, top: int) -> RenderableType:
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
    return table


def _notes(found: Comparison) -> list[str]:
    notes = [f"not in the float model: {', '.join(found.unmatched)}"] if found.unmatched else []
    return notes + [
        f"{name}: another shape than in the float model, for {count} of {counted(found.samples, 'sample')}"
        for name, count in found.unlike.items()
    ]


def _units(found: Sensitivity, top: int) -> RenderableType:
    table = Table(
        title=f"units on {counted(found.samples, 'sample')}: the {min(top, len(found.rows))} worst of {len(found.rows)}"
    )
    for column in ("unit", "operator"):
        table.add_column(column, overflow="fold")
    for column in ("alone", "of all noise", *found.metrics, "in float"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("cause", overflow="fold")
    for row in found.rows[:top]:
        metrics = [percent(row.metrics.get(name), 2) for name in found.metrics]
        figures = [decibels(row.output_db), percent(row.share), *metrics, signed_ms(row.in_float_ms)]
        cause = f"{row.cause}: {row.detail}" if row.detail else str(row.cause)
        table.add_row(escape(row.name), row.op, *figures, escape(cause))
    return table
