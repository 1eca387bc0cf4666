"""One file that is replaced as a whole."""

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

    On an error or Ctrl-C it is removed.

    Where `path` is a link, what it leads to is written; permissions stay those of the file that is replaced.
    Raises OutputError, naming path and remedy, if the system refuses.
    """
    place = followed(path)
    require_writable(place)
    with refusals(place), temporary(place, directory=False) as written:
        hand_on(place, written, least=0o600)  # what is private stays so all the time
        yield written
        to_disk(written)
        hand_on(place, written)
        os.replace(written, place)
        to_disk(place.parent)
