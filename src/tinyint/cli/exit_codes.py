"""Exit codes of every command.

The table of docs/command-line.md is made from them.
"""

from __future__ import annotations

import signal
from enum import IntEnum

__all__ = ["MEANINGS", "ExitCode", "by_signal"]


class ExitCode(IntEnum):
    """Exit code of a command, other than by signals that libraries cause.

    For these, see `by_signal`.
    """

    DONE = 0
    FAULT = 1
    WRONG = 2
    NOT_MET = 3
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS = {
    ExitCode.DONE: "done, also if a warning was given, or if the reader of stdout went away",
    ExitCode.FAULT: "a fault in tinyint: please report it, with what `TINYINT_DEBUG=1` shows",
    ExitCode.WRONG: "wrong input or usage, or a refusal of the system: one line says what and how to mend it",
    ExitCode.NOT_MET: "done, and all is written, but the goal is not met: a bad verdict (`quantize --strict`), a "
    "drop of more than `quantize --max-drop`, a regression (`check`)",
    ExitCode.INTERRUPTED: "Ctrl-C; files that were there before are as they were, and the last line says so",
    ExitCode.TERMINATED: "terminated (SIGTERM); likewise",
}


def by_signal() -> tuple[int, ...]:
    """Exit codes where a library or the system ends the process.

    As shells say them: 128 + the signal.
    """
    names = (
        "SIGILL",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGSEGV",
    )  # of Python's fault handler, and SIGKILL
    return tuple(sorted(128 + getattr(signal, name) for name in names if hasattr(signal, name)))
