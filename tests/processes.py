"""Processes that tests start: what they heed, when they have done something, and whether they are there."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def heed(number: int) -> Callable[[], None]:
    """What a new process runs first, so that a signal ends it.

    It inherits what starts the tests: shells have jobs in the background ignore Ctrl-C, and others block it.
    """

    def run() -> None:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])

    return run


def wait_until(
    holds: Callable[[], bool], process: subprocess.Popen[str] | None = None, *, seconds: float = 120
) -> None:
    """Waits, as long as `process` runs and no longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert process is None or process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline, f"nothing in {seconds:.0f} s"
        time.sleep(0.02)


def ended(pid: int) -> bool:
    """Whether nothing of it is left but an exit status."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return state_in_proc(pid) == "Z"


def state_in_proc(pid: int) -> str:
    """A letter, Z for one that has ended and waits to be noticed; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """The process ids of all that `pid` has started, as Linux tells them."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found += [int(path.parent.name), *children(int(path.parent.name))]
    return found
