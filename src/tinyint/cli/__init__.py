"""The command line. Every command is a few lines that call `tinyint.api`; each lives in a file of its own."""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]

_TERMINATED = 143  # 128 + SIGTERM, as shells say it


def main() -> None:
    """The entry point of `tinyint`."""
    # SIGTERM ends the run like Ctrl-C, so that temporary files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    from tinyint.cli.app import app

    app()
