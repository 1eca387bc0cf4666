"""File of a long run, resumed after the run was killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tinyint.errors import OutputError
from tinyint.files.leftover import lock_or_refuse
from tinyint.files.place import followed, hand_on, refusals, require_writable, to_disk

__all__ = ["partial_file"]


@contextmanager
def partial_file(path: str | Path, magic: bytes) -> Iterator[IO[bytes]]:
    """Open partial file beside `path`, renamed to it at the end.

    It is `.NAME.partial`, and holds what a killed or interrupted writer left; on an error it is removed. Both it and
    what stands at `path` must begin with `magic`, by which they are this program's own.
    Raises OutputError, also where another process writes it now.
    """
    place = followed(path)
    require_writable(place)
    partial = place.with_name(f".{place.name}.partial")
    with refusals(place):
        _require_own(place, magic)
        _require_own(partial, magic)
        with _opened(partial, place) as file:
            hand_on(place, partial, least=0o600)  # what is private stays so all the time
            try:
                yield file
                file.flush()
                to_disk(partial)
                hand_on(place, partial)
                if sys.platform == "win32":  # which renames no open file
                    file.close()
                os.replace(partial, place)
            except KeyboardInterrupt:
                raise
            except BaseException:
                with suppress(OSError):
                    partial.unlink()
                raise
        to_disk(place.parent)


@contextmanager
def _opened(partial: Path, place: Path) -> Iterator[IO[bytes]]:
    while True:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(partial, flags, 0o666), "r+b") as file:
            if not lock_or_refuse(file.fileno()):
                raise OutputError(f"another process writes '{place}' now: let it end, or choose another name")
            # Its writer may have renamed it between the opening and the lock.
            if partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                yield file
                return


def _require_own(path: Path, magic: bytes) -> None:
    """Raises OutputError for a file of others."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        start = file.read(len(magic))
        if start and start != magic:
            raise OutputError(
                f"cannot write '{path}': a file is there that is none of these; move it, or choose another name"
            )
