"""Calibration records kept on disk, so that trying another recipe or target does not run the model again.

A record is found by what it was made from: the float model, the data and the number of samples. The directory is
bounded: what was used least recently goes first. A cache never fails a run; at worst it is of no use.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tinyint.calibrate.record import CalibrationRecord
from tinyint.errors import OutputError, RecordError, TinyintWarning

__all__ = ["RecordCache", "cache_directory", "cache_key"]

LIMIT_BYTES = 512 * 2**20
_FORMAT = 2  # raise it when a record of the same samples would come out differently
_RECORD, _CHECKPOINT = ".npz", ".partial"


def cache_directory() -> Path:
    """TINYINT_CACHE_DIR, or the place that the platform has for caches."""
    if chosen := os.environ.get("TINYINT_CACHE_DIR"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base)) / "tinyint"


def cache_key(model_fingerprint: str, data_fingerprint: str, samples: int) -> str:
    """SHA-256 (hex) of what a record depends on."""
    text = "\n".join((model_fingerprint, data_fingerprint, str(samples), str(_FORMAT)))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class RecordCache:
    """The records in `directory`, together at most `limit` bytes."""

    directory: Path = field(default_factory=cache_directory)
    limit: int = LIMIT_BYTES

    def load(self, key: str) -> CalibrationRecord | None:
        """The record of that key, marked as used now; None if there is none. A damaged one is removed."""
        path = self._path(key, _RECORD)
        try:
            if not path.is_file():
                return None
            record = CalibrationRecord.load(path)
        except (OSError, RecordError):
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with suppress(OSError):
            os.utime(path)
        return record

    def store(self, key: str, record: CalibrationRecord) -> None:
        """Keeps the record, and removes the least recently used ones beyond the limit. Warns if it cannot."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            record.save(self._path(key, _RECORD))
        except (OSError, OutputError) as error:
            warnings.warn(
                f"the calibration is not cached: {error}; set TINYINT_CACHE_DIR to a writable directory",
                TinyintWarning,
                stacklevel=2,
            )
            return
        self._trim()

    def checkpoint(self, key: str) -> Path | None:
        """Where an interrupted calibration leaves what it has; None if nothing can be written there."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return self._path(key, _CHECKPOINT) if os.access(self.directory, os.W_OK | os.X_OK) else None

    def size(self) -> int:
        """Bytes in use."""
        return sum(size for _, size, _ in self._files())

    def clear(self) -> tuple[int, int]:
        """Removes everything; the number of files and of bytes that are gone."""
        removed = [size for path, size, _ in self._files() if _remove(path)]
        return len(removed), sum(removed)

    def _path(self, key: str, suffix: str) -> Path:
        return self.directory / f"{key}{suffix}"

    def _files(self) -> Iterator[tuple[Path, int, float]]:
        """Path, size and time of last use of each file of ours."""
        with suppress(OSError):
            for path in list(self.directory.iterdir()):
                if path.suffix not in (_RECORD, _CHECKPOINT):
                    continue
                with suppress(OSError):  # another process may have removed it
                    facts = path.stat()
                    yield path, facts.st_size, facts.st_mtime

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
