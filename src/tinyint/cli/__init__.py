"""Command line: one file per command, a few calls of `tinyint.api`."""

from __future__ import annotations

import signal
import sys

from tinyint.cli.exit_codes import ExitCode
from tinyint.cli.last_words import last_words

__all__ = ["Terminated", "main"]


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends the run like Ctrl-C, so that temporary files are removed."""


def main() -> None:
    """The entry point of `tinyint`."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with last_words():
            from tinyint.cli.app import app

            app()
    except Terminated:  # before or after the command itself
        sys.exit(ExitCode.TERMINATED)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except OSError as error:  # of help, which typer prints
        from tinyint.cli.screen import discard_output

        discard_output()
        sys.stderr.write(f"error: cannot write to the standard output: {error.strerror or error}\n")
        sys.exit(ExitCode.WRONG)
    finally:  # what comes while Python winds up has nothing left to clean
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _terminate(*_: object) -> None:
    raise Terminated
