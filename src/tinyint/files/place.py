"""Destination of a file: checks that it is writable, and the replaced file's permissions."""

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

    A link stays, and its target is written.
    """
    path = Path(path)
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


def require_writable(path: Path, *, keep: Iterable[object] = ()) -> None:
    """Raises OutputError if `path` is not writable, or is among the input paths `keep`."""
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
        os.lstat(path)  # fails for a name that is too long, and in a directory without access
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
    """Turns errors of the system into OutputError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write '{path}': {reason}; free space or choose a writable place. Nothing was changed"
        ) from error


def hand_on(old: Path, new: Path, *, least: int = 0) -> None:
    """Gives `new` the permissions of the replaced file, plus `least`.

    It also gets the owner, if that is allowed.
    """
    try:
        status = old.stat()
    except FileNotFoundError:
        return
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(new, status.st_uid, status.st_gid)
    with suppress(OSError):  # on a disk without permissions
        os.chmod(new, stat.S_IMODE(status.st_mode) | least)


def to_disk(path: Path) -> None:
    """Waits until a file or directory is on the disk."""
    # Some systems cannot do that for directories.
    with suppress(OSError) if path.is_dir() else nullcontext():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
