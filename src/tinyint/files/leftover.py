"""Temporary names, locks of living writers, and removal of dead writers' files."""

from __future__ import annotations

import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["OWN", "leftovers", "lock_or_refuse", "locked", "sweep", "temporary"]

OWN = ".tinyint"
"""Within a temporary directory, what is about it: its lock, and what its writer notes down."""

_SUFFIX = r"\.[0-9a-f]{8}\.tmp"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock of a directory for publishing and tidying.

    Without locks on that file system, all go at once.
    """
    opened = None
    with suppress(OSError):
        opened = os.open(directory, os.O_RDONLY)
    try:
        if opened is not None:
            _lock(opened, wait=True)
        yield
    finally:
        if opened is not None:
            os.close(opened)


@contextmanager
def temporary(
    path: Path, finish: Callable[[Path], None] = lambda _: None, *, directory: bool
) -> Iterator[Path]:
    """Locked temporary file or directory beside `path`, removed at the end if left.

    What killed writers of `path` left is removed before; `finish` is told their directories first.
    """
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    opened = None
    try:
        with locked(path.parent):
            sweep(path, finish)
            if directory:
                made.mkdir(mode=0o700)
                (made / OWN).mkdir()
            _lock_file(made).touch(exist_ok=False)
            opened = os.open(_lock_file(made), os.O_RDONLY)
            _lock(opened, wait=False)
        yield made
    finally:
        if opened is not None:
            os.close(opened)
        _remove(made)


def sweep(path: Path, finish: Callable[[Path], None] = lambda _: None) -> None:
    """Removes leftovers of killed writers of `path`; `finish` gets their directories first."""
    for left in leftovers(path.parent, re.escape(path.name)):
        if left.is_dir():
            finish(left)
        _remove(left)


def leftovers(directory: Path, names: str) -> Iterator[Path]:
    """Leftovers of killed writers whose file names the regular expression matches."""
    pattern = re.compile(rf"\.(?:{names}){_SUFFIX}")
    with suppress(OSError):
        for entry in os.listdir(directory):
            if pattern.fullmatch(entry) and _abandoned(directory / entry):
                yield directory / entry


def _lock_file(temporary: Path) -> Path:
    return temporary / OWN / "lock" if temporary.is_dir() else temporary


def _abandoned(path: Path) -> bool:
    """Whether nobody holds the lock on it. False where that cannot be told."""
    try:
        opened = os.open(_lock_file(path), os.O_RDONLY)
    except FileNotFoundError:  # killed before it was locked
        return True
    except OSError:
        return False
    try:
        return _lock(opened, wait=False)
    finally:
        os.close(opened)


def _lock(opened: int, *, wait: bool) -> bool:
    """Locks an open file until it is closed; whether that succeeded.

    Some network disks have no locks.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def lock_or_refuse(opened: int) -> bool:
    """Locks an open file until it is closed; False where another process holds it.

    Without locks on that file system, all go at once.
    """
    if sys.platform != "win32":
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
