"""Ends of commands: one clear line for the user's errors, and exit codes.

A library may end the process by a signal, which `last_words` tells.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from tinyint.cli import Terminated
from tinyint.cli.commands import SUMMARIES, load, summary
from tinyint.cli.exit_codes import ExitCode
from tinyint.cli.screen import Screen, discard_output
from tinyint.errors import TinyintError, TinyintWarning

__all__ = ["Commands"]

_KEPT = "the last checkpoint and the best model are as they were saved: go on with --resume"
_AFTER_INTERRUPT = {
    "train": _KEPT,
    "qat": _KEPT,
    "preprocess": "what is written so far is kept: the same command goes on with it",
}  # of the others, nothing stays that is not complete
# typer brings its own copy of click; usage errors, exits and aborts are for it to handle.
_USAGE: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
_TYPERS_OWN: tuple[type[Exception], ...] = (_USAGE, typer.Exit, typer.Abort)


class Commands(TyperGroup):
    """A group whose commands are imported when they run, and end as said above."""

    _brief = False  # whether only names and summaries are wanted

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._loaded: dict[str, Any] = {}
        self.commands.update({name: summary(name) for name in SUMMARIES})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self._brief or cmd_name not in SUMMARIES:
            return super().get_command(ctx, cmd_name)
        if cmd_name not in self._loaded:
            self._loaded[cmd_name] = load(cmd_name)
        return self._loaded[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with self._briefly():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        with self._briefly():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _briefly(self) -> Iterator[None]:
        self._brief = True
        try:
            yield
        finally:
            self._brief = False

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        with _usage_told(Screen(json="--json" in args)):
            return super().make_context(info_name, args, *more, **extra)

    def invoke(self, ctx: Any) -> Any:
        screen = Screen(json="--json" in sys.argv or "--json" in _arguments(ctx))
        with _told(screen, ctx), _usage_told(screen):
            return super().invoke(ctx)


def _arguments(ctx: Any) -> list[str]:
    """What follows the command's name; under a test runner, sys.argv is the test's."""
    return [*getattr(ctx, "protected_args", []), *getattr(ctx, "_protected_args", []), *ctx.args]


@contextmanager
def _usage_told(screen: Screen) -> Iterator[None]:
    """typer tells wrong usage on stderr; with --json, the document is ours to write."""
    try:
        yield
    except _USAGE as error:
        screen.document({"error": error.format_message()})  # type: ignore[attr-defined]
        raise


@contextmanager
def _told(screen: Screen, ctx: Any) -> Iterator[None]:
    try:
        with _warnings_to(screen):
            yield
    except BrokenPipeError:
        # The reader has gone; Python would complain when it closes the pipe.
        discard_output()
        raise typer.Exit(ExitCode.DONE) from None
    except KeyboardInterrupt as error:
        terminated = isinstance(error, Terminated)
        kept = _AFTER_INTERRUPT.get(ctx.invoked_subcommand, "nothing was changed")
        left = next(iter(getattr(error, "__notes__", ())), kept)
        screen.tell(f"{'terminated' if terminated else 'interrupted'}; {left}")
        raise typer.Exit(ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED) from None
    except TinyintError as error:
        screen.fail(str(error))
        raise typer.Exit(ExitCode.WRONG) from None
    except _TYPERS_OWN:
        raise
    except OSError as error:  # what the system refuses is no fault of ours either
        where = f" '{error.filename}'" if error.filename else ""
        screen.fail(f"the system refuses to use{where or ' a file'}: {error.strerror or error}")
        raise typer.Exit(ExitCode.WRONG) from None
    except Exception as error:  # the last resort: what is not foreseen is a fault of ours
        if os.environ.get("TINYINT_DEBUG"):
            screen.tell(traceback.format_exc())
        screen.fail(
            f"unexpected {type(error).__name__}: {error} (a fault in tinyint: please report it, with what "
            "TINYINT_DEBUG=1 shows)"
        )
        raise typer.Exit(ExitCode.FAULT) from None


@contextmanager
def _warnings_to(screen: Screen) -> Iterator[None]:
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, TinyintWarning):
                screen.warn(str(message))
            else:
                others(message, category, filename, lineno, file, line)

        warnings.filterwarnings("ignore", "Image size .* exceeds limit")  # Pillow's; such images are refused
        warnings.simplefilter("always", TinyintWarning)
        warnings.showwarning = show
        # It warns of broken graphs, which are refused with their place.
        logging.getLogger("onnx_ir").setLevel(logging.ERROR)
        yield
