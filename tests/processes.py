"""Processes as Linux tells of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


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
