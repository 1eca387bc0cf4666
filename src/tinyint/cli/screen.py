"""Streams: with --json one document on stdout, else tables; progress on stderr.

Warnings go to stderr too.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinyint.errors import OutputError
from tinyint.files.jsonable import escaped, to_json

if TYPE_CHECKING:  # rich is slow to import, and most of what is said needs none of it
    from rich.console import Console, RenderableType

    from tinyint.runtimes.run import Progress as Listener

__all__ = ["Screen", "discard_output"]

_PLAIN_WIDTH = 120  # in files and pipes, where rich assumes 80


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def discard_output() -> None:
    """Nothing more is written, nor complained about when Python ends."""
    with suppress(OSError, ValueError):  # a test runner's has no number
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _standard_output() -> Iterator[None]:
    """Makes unprintable letters question marks, and file names their bytes.

    Raises OutputError if it cannot be written, but BrokenPipeError if its reader has gone.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        utf = sys.stdout.encoding.lower().startswith("utf")
        sys.stdout.reconfigure(errors="surrogateescape" if utf else "replace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise OutputError(f"cannot write to the standard output: {error.strerror or error}") from None


@dataclass(frozen=True)
class Screen:
    """`json`: whether the user asked for one JSON document."""

    json: bool

    def show(self, document: Any, *tables: RenderableType | str) -> None:
        """Prints the result: `document` as JSON, else the tables.

        Text is printed as it is, without wrapping.

        Raises OutputError where the standard output takes no more.
        """
        from rich.text import Text

        with _standard_output():
            self.document(document)
            console = _console(stderr=False)
            for table in () if self.json else tables:
                if isinstance(table, str):
                    console.print(Text(table), soft_wrap=True)
                else:
                    console.print(table)

    def document(self, document: Any) -> None:
        """With --json, the one document; letters that the standard output lacks are escaped."""
        if self.json:
            text, encoding = to_json(document), sys.stdout.encoding or "utf-8"
            try:
                text.encode(encoding)
            except UnicodeEncodeError:
                text = escaped(text, r"[^\x00-\x7f]")
            sys.stdout.write(text + "\n")

    def tell(self, message: str) -> None:
        """A line for the user that is not the result."""
        sys.stderr.write(message.rstrip("\n") + "\n")

    def note(self, *messages: str) -> None:
        """Prints a note of an assumption or omission."""
        for message in messages:
            self.tell(f"note: {message}")

    def warn(self, message: str) -> None:
        self.tell(f"warning: {message}")

    def fail(self, message: str) -> None:
        """The error, on stderr, and with --json also as the document."""
        self.tell(f"error: {message}")
        with suppress(OutputError), _standard_output():
            self.document({"error": message})

    @contextmanager
    def progress(self) -> Iterator[Listener]:
        """A bar for each step, on stderr; nothing where that is no terminal."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

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
