"""The command line. Every command is a few lines that call `tinyint.api`; each lives in a file of its own."""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]

_INTERRUPTED, _TERMINATED = 130, 143  # 128 + the signal's number, as shells say it


def main() -> None:
    """The entry point of `tinyint`."""
    # SIGTERM ends the run like Ctrl-C, so that temporary files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        from tinyint.cli.app import app

        app()
    except KeyboardInterrupt:  # before or after the command itself
        sys.exit(_INTERRUPTED)
