"""Replacement of a file as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyint.files.leftover import temporary
from tinyint.files.place import followed, hand_on, refusals, require_writable, to_disk

__all__ = ["atomic_write"]


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Temporary file beside `path`, renamed to it at the end.

    On an error or Ctrl-C, it is removed. If `path` is a link, its target is written. The permissions are those of the
    replaced file. Raises OutputError if the system refuses.
    """
    place = followed(path)
    require_writable(place)
    with refusals(place), temporary(place, directory=False) as scratch:
        hand_on(place, scratch, least=0o600)  # a private file is private at every moment
        yield scratch
        to_disk(scratch)
        hand_on(place, scratch)
        os.replace(scratch, place)
        to_disk(place.parent)
