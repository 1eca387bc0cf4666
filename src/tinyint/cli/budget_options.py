"""Options of `tinyint quantize` for a budget of accuracy, and what it shows then."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tinyint.api.budget import WithinBudget
from tinyint.cli.exit_codes import ExitCode
from tinyint.cli.options import Task
from tinyint.cli.screen import Screen
from tinyint.errors import TinyintError
from tinyint.report.terminal import render
from tinyint.tune.budget import Budget

__all__ = ["BudgetOptions", "seconds", "show_within"]

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Seconds of a time such as 90, 90s, 10m or 1.5h. Raises TinyintError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None:
        raise TinyintError(
            f"--time {text!r}: expected a number of seconds, or one with s, m or h, such as 10m"
        )
    return float(match[1]) * _UNITS[match[2]]


@dataclass(frozen=True, kw_only=True)
class BudgetOptions:
    """Options of a budget; none is given without `max_drop`."""

    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            metavar="POINTS",
            help="Leave in float what it takes to lose at most this on held-out samples; exit code 3 if that fails.",
        ),
    ] = None
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="Of --max-drop: top1, f1, map, miou, sqnr (the least dB), or PACKAGE:FUNCTION; by default the task's.",
        ),
    ] = None
    task: Task = None
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="TIME", help="Of --max-drop: end the search in time, such as 10m."),
    ] = None

    def budget(self, calibration: Path | None) -> Budget | None:
        """The budget, or None. Raises TinyintError for options that have no effect, and DataError."""
        if self.max_drop is None:
            for flag, given in (("--metric", self.metric), ("--task", self.task), ("--time", self.time)):
                if given is not None:
                    raise TinyintError(
                        f"{flag} {given} has no effect without --max-drop; leave it out, or add that"
                    )
            return None
        limit = None if self.time is None else seconds(self.time)
        return Budget(
            max_drop=self.max_drop, metric=self.metric, task=self.task, seconds=limit, calibration=calibration
        )


def show_within(screen: Screen, found: WithinBudget, *, strict: bool) -> None:
    """Shows the report.

    Ends with exit code 3 where the goal was not met, or with `strict` by the verdict.
    """
    search = {name: value for name, value in vars(found).items() if name != "result"}
    screen.show({**found.report.to_json(), "budget": search}, render(found.report))
    if not found.met or (strict and found.report.verdict.bad):
        raise typer.Exit(ExitCode.NOT_MET)
