"""Directories of what later runs may use: bounded, and never needed.

What was used least recently goes first. Other processes may write and remove files at any time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinyint.errors import OutputError
from tinyint.files.leftover import leftovers

__all__ = ["Kept", "cache_directory", "remove", "used"]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Files of `directory` whose names end in one of `endings`; without a directory, none.

    `temporary`: regular expression for the names that killed writers may have left unfinished.
    """

    directory: Path | None
    endings: tuple[str, ...]
    temporary: str

    def made(self) -> Path:
        """The directory, which is made if it is missing.

        Raises OutputError if it cannot be.
        """
        if self.directory is None:
            raise OutputError("there is no home directory to keep it in")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write '{self.directory}': {error.strerror or error}") from error
        return self.directory

    def files(self) -> list[tuple[Path, int]]:
        """Path and size of each file, the last used first.

        What killed writers have left is included.
        """
        found = []
        if self.directory is not None:
            with suppress(OSError):
                ours = [path for path in self.directory.iterdir() if path.suffix in self.endings]
                for path in (*ours, *leftovers(self.directory, self.temporary)):
                    with suppress(OSError):
                        facts = path.stat()
                        found.append((facts.st_mtime, path, facts.st_size))
        return [(path, size) for _, path, size in sorted(found, reverse=True)]

    def trim(self, fits: Callable[[int, int], bool]) -> None:
        """Removes files that do not fit.

        `fits` is asked with the numbers of files and bytes up to each, the last used first.
        """
        total = 0
        for count, (path, size) in enumerate(self.files(), 1):
            total += size
            if not fits(count, total):
                remove(path)

    def clear(self) -> tuple[int, int]:
        """Removes all; returns numbers of files and bytes removed."""
        removed = [size for path, size in self.files() if remove(path)]
        return len(removed), sum(removed)


def used(path: Path) -> None:
    """Marks a file as used now."""
    with suppress(OSError):
        os.utime(path)


def remove(path: Path) -> bool:
    """Whether the file could be removed, or is gone."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def cache_directory() -> Path | None:
    """TINYINT_CACHE_DIR, or the platform's place for caches.

    None if that needs a home and there is none.
    """
    if chosen := os.environ.get("TINYINT_CACHE_DIR"):
        return _at_home(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    place = _at_home(base)
    return None if place is None else place / "tinyint"


def _at_home(path: str) -> Path | None:
    found = os.path.expanduser(path)
    return None if found.startswith("~") else Path(found)
