"""Cache of calibration records on disk: another recipe or target needs no new run.

A record is found by what it was made from: the float model, and the samples in their number and order. The directory is
bounded: what was used least recently goes first. A cache never fails a run; at worst it is of no use.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tinyint.errors import OutputError, RecordError, TinyintWarning
from tinyint.files import leftovers, locked
from tinyint.quantization.calibration.record import CalibrationRecord
from tinyint.quantization.calibration.statistics import Request

__all__ = ["RecordCache", "cache_directory", "cache_key"]

LIMIT_BYTES = 512 * 2**20
_FORMAT = 2  # raise it when a record of the same samples would come out differently
_RECORD, _CHECKPOINT = ".npz", ".partial"
_TEMPORARY = r"[0-9a-f]{64}\.(npz|partial)"


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


def cache_key(
    model_fingerprint: str, data_fingerprint: str, needs: AbstractSet[Request] = frozenset()
) -> str:
    """SHA-256 (hex) of all that a record depends on.

    The model, the data, and the requested statistics.
    """
    asked = sorted(map(str, needs))
    text = "\n".join((model_fingerprint, data_fingerprint, str(_FORMAT), *asked))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class RecordCache:
    """The records in `directory`, together at most `limit` bytes; without a directory, none."""

    directory: Path | None = field(default_factory=cache_directory)
    limit: int = LIMIT_BYTES

    def load(self, key: str) -> CalibrationRecord | None:
        """Record of the key, marked as used now; None if there is none.

        A damaged record is removed.
        """
        if self.directory is None:
            return None
        self._tidy()
        path = self.directory / f"{key}{_RECORD}"
        try:
            if not path.is_file():
                return None
            record = CalibrationRecord.load(path)
        except (OSError, RecordError):
            _remove(path)
            return None
        with suppress(OSError):
            os.utime(path)
        return record

    def store(self, key: str, record: CalibrationRecord) -> None:
        """Stores the record, and removes the least recently used ones beyond the limit.

        Warns if it cannot.
        """
        try:
            if self.directory is None:
                raise OutputError("there is no home directory to keep it in")
            self.directory.mkdir(parents=True, exist_ok=True)
            record.save(self.directory / f"{key}{_RECORD}")
        except (OSError, OutputError) as error:
            warnings.warn(
                f"the calibration is not cached: {error}; set TINYINT_CACHE_DIR to a writable directory",
                TinyintWarning,
                stacklevel=2,
            )
            return
        self._trim()

    def checkpoint(self, key: str) -> Path | None:
        """Path of the checkpoint of an interrupted calibration.

        None if nothing can be written there.
        """
        if self.directory is None:
            return None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        writable = os.access(self.directory, os.W_OK | os.X_OK)
        return self.directory / f"{key}{_CHECKPOINT}" if writable else None

    def size(self) -> int:
        """Bytes in use."""
        return sum(size for _, size, _ in self._files())

    def clear(self) -> tuple[int, int]:
        """Removes all but files being written; returns numbers of files and bytes removed."""
        removed = [size for path, size, _ in self._files() if _remove(path)]
        return len(removed), sum(removed)

    def _files(self) -> Iterator[tuple[Path, int, float]]:
        """Path, size and time of last use of each file of ours, what killed runs left included."""
        if self.directory is None:
            return
        with suppress(OSError):
            ours = [path for path in self.directory.iterdir() if path.suffix in (_RECORD, _CHECKPOINT)]
            for path in (*ours, *leftovers(self.directory, _TEMPORARY)):
                with suppress(OSError):  # another process may have removed it
                    facts = path.stat()
                    yield path, facts.st_size, facts.st_mtime

    def _tidy(self) -> None:
        """Removes what killed runs left half written."""
        if self.directory is None or not self.directory.is_dir():
            return
        with locked(self.directory):
            for path in leftovers(self.directory, _TEMPORARY):
                _remove(path)

    def _trim(self) -> None:
        total = 0
        for path, size, _ in sorted(self._files(), key=lambda file: file[2], reverse=True):
            total += size
            if total > self.limit:
                _remove(path)


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
