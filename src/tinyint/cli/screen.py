"""What goes where: with --json one document on stdout; else tables there. Progress and warnings go to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tinyint.api.progress import Progress as Listener
from tinyint.report.report import to_json

__all__ = ["Screen"]

_PLAIN_WIDTH = 120  # in files and pipes, where rich assumes 80


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


@dataclass(frozen=True)
class Screen:
    """`json`: whether the user asked for one JSON document."""

    json: bool

    def show(self, document: Any, *tables: RenderableType | str) -> None:
        """The result: `document` as JSON, or else the tables. Text is printed as it is, without wrapping."""
        if self.json:
            sys.stdout.write(to_json(document) + "\n")
            return
        console = _console(stderr=False)
        for table in tables:
            if isinstance(table, str):
                console.print(Text(table), soft_wrap=True)
            else:
                console.print(table)

    def tell(self, message: str) -> None:
        """A line for the user that is not the result."""
        sys.stderr.write(message.rstrip("\n") + "\n")

    def note(self, *messages: str) -> None:
        """What was assumed or left out."""
        for message in messages:
            self.tell(f"note: {message}")

    def warn(self, message: str) -> None:
        self.tell(f"warning: {message}")

    def fail(self, message: str) -> None:
        """The error, on stderr, and with --json also as the document."""
        self.tell(f"error: {message}")
        if self.json:
            sys.stdout.write(to_json({"error": message}) + "\n")

    @contextmanager
    def progress(self) -> Iterator[Listener]:
        """A bar for each step, on stderr; nothing where that is no terminal."""
        console = _console(stderr=True)
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
            tasks: dict[str, Any] = {}

            def listen(step: str, done: int, total: int | None) -> None:
                if step not in tasks:
                    tasks[step] = bars.add_task(step, total=total)
                bars.update(tasks[step], completed=done, total=total)

            yield listen
