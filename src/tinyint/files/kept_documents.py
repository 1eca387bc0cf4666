"""JSON documents that later runs may use, by keys of 64 hexadecimal digits.

They never fail a run; at worst they are of no use.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyint.files.kept import Kept, cache_directory, used
from tinyint.files.whole import atomic_write

__all__ = ["KeptDocuments", "kept_place"]

_NAMES = r"[0-9a-f]{64}\.json"


def kept_place(name: str) -> Path | None:
    """Directory of this name in the cache; None where there is no cache."""
    cache = cache_directory()
    return None if cache is None else cache / name


@dataclass(frozen=True, kw_only=True)
class KeptDocuments:
    """The documents in `directory`, at most `most`; without a directory, none."""

    directory: Path | None
    most: int = 256

    def read(self, key: str) -> Any:
        """Document of the key; None without a readable one."""
        try:
            text = None if self.directory is None else self._path(key).read_text(encoding="utf-8")
            return None if text is None else json.loads(text)
        except (OSError, ValueError):
            return None

    def mark_used(self, key: str) -> None:
        """Marks the document as used now, so that others go first."""
        used(self._path(key))

    def write(self, key: str, document: Any) -> None:
        """Stores a document, and removes the least recently used ones beyond the limit.

        Raises OutputError if it cannot.
        """
        with atomic_write(self._kept.made() / f"{key}.json") as scratch:
            scratch.write_text(json.dumps(document), encoding="utf-8")
        self._kept.trim(lambda count, _: count <= self.most)

    @property
    def count(self) -> int:
        """Number of documents."""
        return len(self._kept.files())

    def size(self) -> int:
        """Bytes in use."""
        return sum(size for _, size in self._kept.files())

    def clear(self) -> tuple[int, int]:
        """Removes all; returns numbers of files and bytes removed."""
        return self._kept.clear()

    def _path(self, key: str) -> Path:
        assert self.directory is not None
        return self.directory / f"{key}.json"

    @property
    def _kept(self) -> Kept:
        return Kept(directory=self.directory, endings=(".json",), temporary=_NAMES)
