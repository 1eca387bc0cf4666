"""Temporary files with a lock, and removal of those whose writer was killed."""

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
"""Part of a temporary directory with its lock and its writer's notes."""

_SUFFIX = r"\.[0-9a-f]{8}\.tmp"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock of a directory for publishing and tidying.

    Without effect on a file system without locks.
    """
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
    try:
        if descriptor is not None:
            _lock(descriptor, wait=True)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def temporary(
    path: Path, finish: Callable[[Path], None] = lambda _: None, *, directory: bool
) -> Iterator[Path]:
    """Locked temporary file or directory beside `path`, removed at the end if it exists.

    Before, leftovers of killed writers of `path` are removed, after a call of `finish` for directories.
    """
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    descriptor = None
    try:
        with locked(path.parent):
            sweep(path, finish)
            if directory:
                scratch.mkdir(mode=0o700)
                (scratch / OWN).mkdir()
            _lock_file(scratch).touch(exist_ok=False)
            descriptor = os.open(_lock_file(scratch), os.O_RDONLY)
            _lock(descriptor, wait=False)
        yield scratch
    finally:
        if descriptor is not None:
            os.close(descriptor)
        _remove(scratch)


def sweep(path: Path, finish: Callable[[Path], None] = lambda _: None) -> None:
    """Removes leftovers of killed writers of `path`; `finish` gets their directories first."""
    for leftover in leftovers(path.parent, re.escape(path.name)):
        if leftover.is_dir():
            finish(leftover)
        _remove(leftover)


def leftovers(directory: Path, names: str) -> Iterator[Path]:
    """Leftovers of killed writers whose file names the regular expression matches."""
    pattern = re.compile(rf"\.(?:{names}){_SUFFIX}")
    with suppress(OSError):
        for entry in os.listdir(directory):
            if pattern.fullmatch(entry) and _is_abandoned(directory / entry):
                yield directory / entry


def _lock_file(temporary: Path) -> Path:
    return temporary / OWN / "lock" if temporary.is_dir() else temporary


def _is_abandoned(path: Path) -> bool:
    """Whether no process holds the lock; False if that is unknown."""
    try:
        descriptor = os.open(_lock_file(path), os.O_RDONLY)
    except FileNotFoundError:  # its writer was killed before it locked it
        return True
    except OSError:
        return False
    try:
        return _lock(descriptor, wait=False)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Locks an open file until it is closed; returns whether that succeeded.

    Some network disks have no locks.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def lock_or_refuse(descriptor: int) -> bool:
    """Locks an open file until it is closed.

    False if another process holds the lock. On a file system without locks, all processes may go on.
    """
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
