"""How commands end: one clear line for what the user can mend, and the exit code.

0    done
1    a fault in tinyint itself
2    wrong input or usage (any TinyintError)
3    done, but with a bad verdict (`quantize --strict`)
130  Ctrl-C
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from tinyint.cli.screen import Screen
from tinyint.errors import TinyintError, TinyintWarning

__all__ = ["BAD", "Commands"]

BAD = 3

_FAULT, _WRONG, _INTERRUPTED = 1, 2, 130
# typer brings its own copy of click; usage errors, exits and aborts are for it to handle.
_TYPERS_OWN: tuple[type[Exception], ...] = (
    next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"),
    typer.Exit,
    typer.Abort,
)


class Commands(TyperGroup):
    """A group whose commands end as said above."""

    def invoke(self, ctx: Any) -> Any:
        screen = Screen(json="--json" in sys.argv or "--json" in _arguments(ctx))
        with _told(screen):
            return super().invoke(ctx)


def _arguments(ctx: Any) -> list[str]:
    """What follows the command's name; under a test runner, sys.argv is the test's."""
    return [*getattr(ctx, "protected_args", []), *getattr(ctx, "_protected_args", []), *ctx.args]


@contextmanager
def _told(screen: Screen) -> Iterator[None]:
    try:
        with _warnings_to(screen):
            yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone; Python would complain when it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        screen.tell("interrupted; nothing was changed")
        raise typer.Exit(_INTERRUPTED) from None
    except TinyintError as error:
        screen.fail(str(error))
        raise typer.Exit(_WRONG) from None
    except _TYPERS_OWN:
        raise
    except Exception as error:  # the last resort: what is not foreseen is a fault of ours
        if os.environ.get("TINYINT_DEBUG"):
            screen.tell(traceback.format_exc())
        screen.fail(
            f"unexpected {type(error).__name__}: {error} (a fault in tinyint: please report it, with what "
            "TINYINT_DEBUG=1 shows)"
        )
        raise typer.Exit(_FAULT) from None


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
        yield
