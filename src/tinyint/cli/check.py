"""`tinyint check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.markup import escape
from rich.table import Table

from tinyint import api
from tinyint.cli.exit_codes import ExitCode
from tinyint.cli.options import Json
from tinyint.cli.screen import Screen
from tinyint.proof.comparable import Difference
from tinyint.proof.regression import Check, Row
from tinyint.report.words import counted, decibels, megabytes, percent

__all__ = ["check"]

MaxDrop = Annotated[
    float | None,
    typer.Option(
        metavar="POINTS",
        help="The most that accuracy may fall: every share in both reports, or --metric. Without it, the verdict on "
        "accuracy may get no worse.",
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Of --max-drop: one figure, such as top1_agreement, or sqnr, whose drop is in dB.",
    ),
]
MaxSlowdown = Annotated[
    float | None,
    typer.Option(
        metavar="PERCENT",
        help="The most that int8 may get slower, beside float in the same report. Without it, speed is not judged.",
    ),
]
MaxCoverageDrop = Annotated[
    float,
    typer.Option(metavar="POINTS", help="The most that the share of multiply-adds in int8 may fall."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="|".join(get_args(Difference)),
        help="Compare reports in spite of a difference that makes it doubtful. Can be repeated.",
    ),
]


def check(
    old: Annotated[
        Path, typer.Argument(metavar="REPORT_OLD", help="The stored report (.json).", show_default=False)
    ],
    new: Annotated[
        Path, typer.Argument(metavar="REPORT_NEW", help="The report to judge (.json).", show_default=False)
    ],
    max_drop: MaxDrop = None,
    metric: Metric = None,
    max_slowdown: MaxSlowdown = None,
    max_coverage_drop: MaxCoverageDrop = 0.0,
    allow: Allow = None,
    json: Json = False,
) -> None:
    """Compare a report with an earlier one; fail where accuracy, speed or coverage fell.

    The exit code is 3 where something is worse than allowed. Reports are what `tinyint quantize` writes beside a model.

    Examples:

        tinyint check ci/model.report.json model.report.json --max-drop 0.5

        tinyint check ci/model.report.json model.report.json --max-drop 0.5 --max-slowdown 10

        tinyint check old.report.json new.report.json --max-drop 1 --metric sqnr --allow model
    """
    screen = Screen(json)
    found = api.check(
        old,
        new,
        max_drop=max_drop,
        metric=metric,
        max_slowdown=max_slowdown,
        max_coverage_drop=max_coverage_drop,
        allow=allow or (),
    )
    screen.note(*found.notes)
    screen.show(found, _headline(found), _table(found))
    if not found.met:
        raise typer.Exit(ExitCode.NOT_MET)


def _headline(found: Check) -> str:
    if found.met:
        return f"{found.new}: nothing is worse than allowed beside {found.old}"
    worse = ", ".join(_title(row) for row in found.regressions)
    return f"{found.new}: WORSE than {found.old} in {worse}"


def _table(found: Check) -> Table:
    judged = sum(row.limit is not None for row in found.rows)
    table = Table(title=f"{counted(judged, 'figure')} of {len(found.rows)} judged by a limit")
    table.add_column("")
    table.add_column("output", overflow="fold")
    for column in ("old", "new", "change", "loss allowed"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for row in found.rows:
        cells = (
            _TITLES.get(row.name, row.name),
            row.output or "",
            _value(row, row.old),
            _value(row, row.new),
        )
        allowed = "" if row.limit is None else f"{row.limit:g} {row.unit}"
        remark = "worse" if row.worse else "" if row.limit is None else "ok"
        table.add_row(
            *map(escape, (*cells, _change(row), allowed, remark)), style="bold red" if row.worse else None
        )
    return table


_TITLES = {
    "verdict": "verdict on accuracy",
    "top1_agreement": "same top-1 as float",
    "equal": "integers as in float",
    "rows_matched": "selected rows as in float",
    "sqnr": "SQNR against float",
    "latency_ms.float": "latency of float, median",
    "latency_ms.int8": "latency of int8, median",
    "speedup": "speed beside float",
    "coverage.macs_int8": "multiply-adds in int8",
    "coverage.nodes_int8": "nodes in int8",
    "size_bytes": "size",
}


def _title(row: Row) -> str:
    title = _TITLES.get(row.name, row.name)
    return title if row.output is None else f"{title} ({row.output})"


def _value(row: Row, value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or "–"
    if row.unit == "points":
        return percent(value, 2)
    if row.unit == "dB":
        return decibels(value)
    if row.of == "size":
        return megabytes(int(value))
    return (
        f"{value:.2f} ms"
        if row.name.startswith("latency")
        else f"{value:.2f}×"
        if row.unit == "%"
        else f"{value:.4g}"
    )


def _amount(amount: float, row: Row) -> str:
    return f"{amount:.2f}{f' {row.unit}' if row.unit else ''}"


def _change(row: Row) -> str:
    """What was lost or won; of the speed, by how much longer or shorter a call takes."""
    if row.loss is None:
        return ""
    if row.unit == "%":
        return (
            f"{_amount(abs(row.loss), row)} {'slower' if row.loss > 0 else 'faster'}"
            if row.loss
            else "as fast"
        )
    return f"{'-' if row.loss > 0 else '+'}{_amount(abs(row.loss), row)}" if row.loss else "the same"
