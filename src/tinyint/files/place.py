"""Destination of a file: whether it is writable, and attributes of the file replaced."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from tinyint.errors import OutputError

__all__ = ["followed", "hand_on", "refusals", "require_writable", "to_disk"]


def followed(path: str | Path) -> Path:
    """Target of a link, else the path.

    The file that a link names is written, and the link stays.
    """
    path = Path(path)
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


def require_writable(path: Path, *, keep: Iterable[object] = ()) -> None:
    """Raises OutputError if `path` is not writable or is one of `keep`.

    `keep` are the paths that are read.
    """
    try:
        if os.path.exists(path) and not path.is_file():
            raise OutputError(f"cannot write '{path}': it is not a regular file; give a file name")
        if not path.parent.exists():
            raise OutputError(
                f"cannot write '{path}': the directory '{path.parent}' does not exist; create it"
            )
        if not path.parent.is_dir():
            raise OutputError(
                f"cannot write '{path}': '{path.parent}' is not a directory; choose another place"
            )
        os.lstat(path)  # a name that is too long, a directory that is closed
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise OutputError(
            f"cannot write '{path}': {getattr(error, 'strerror', None) or error}; choose another place"
        ) from None
    sources = [source for source in keep if isinstance(source, str | Path) and os.path.exists(source)]
    if os.path.exists(path) and any(os.path.samefile(path, source) for source in sources):
        raise OutputError(f"cannot write '{path}': it is the file that is read; choose another name")


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turns the system's refusals into OutputError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write '{path}': {reason}; free space or choose a writable place. Nothing was changed"
        ) from error


def hand_on(old: Path, new: Path, *, least: int = 0) -> None:
    """Gives `new` the permissions of the replaced file, and `least`.

    Its owner too, where that is allowed.
    """
    try:
        facts = old.stat()
    except FileNotFoundError:
        return
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(new, facts.st_uid, facts.st_gid)
    with suppress(OSError):  # of a disk that knows no permissions
        os.chmod(new, stat.S_IMODE(facts.st_mode) | least)


def to_disk(path: Path) -> None:
    """Waits until a file or directory would outlast a loss of power."""
    with (
        suppress(OSError) if path.is_dir() else nullcontext()
    ):  # not every system can do that for directories
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
