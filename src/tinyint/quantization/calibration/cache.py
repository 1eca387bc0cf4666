"""Cache of calibration records on disk: another recipe or target needs no new run.

A record is found by what it was made from: the float model, and the samples in their number and order. The directory is
bounded: what was used least recently goes first. A cache never fails a run; at worst it is of no use.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from tinyint.errors import OutputError, RecordError, TinyintWarning
from tinyint.files import leftovers, locked
from tinyint.files.kept import Kept, cache_directory, remove, used
from tinyint.quantization.calibration.record import CalibrationRecord
from tinyint.quantization.calibration.statistics import Request

__all__ = ["RecordCache", "cache_key"]

LIMIT_BYTES = 512 * 2**20
_FORMAT = 3  # raise it when a record of the same samples would come out differently
_RECORD, _CHECKPOINT = ".npz", ".partial"
_TEMPORARY = r"[0-9a-f]{64}\.(npz|partial)"


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
            remove(path)
            return None
        used(path)
        return record

    def store(self, key: str, record: CalibrationRecord) -> None:
        """Stores the record, and removes the least recently used ones beyond the limit.

        Warns if it cannot.
        """
        try:
            record.save(self._kept.made() / f"{key}{_RECORD}")
        except (OSError, OutputError) as error:
            warnings.warn(
                f"the calibration is not cached: {error}; set TINYINT_CACHE_DIR to a writable directory",
                TinyintWarning,
                stacklevel=2,
            )
            return
        self._kept.trim(lambda _, size: size <= self.limit)

    def checkpoint(self, key: str) -> Path | None:
        """Path of the checkpoint of an interrupted calibration.

        None if nothing can be written there.
        """
        try:
            directory = self._kept.made()
        except OutputError:
            return None
        writable = os.access(directory, os.W_OK | os.X_OK)
        return directory / f"{key}{_CHECKPOINT}" if writable else None

    def size(self) -> int:
        """Bytes in use."""
        return sum(size for _, size in self._kept.files())

    def clear(self) -> tuple[int, int]:
        """Removes all but files being written; returns numbers of files and bytes removed."""
        return self._kept.clear()

    @property
    def _kept(self) -> Kept:
        return Kept(directory=self.directory, endings=(_RECORD, _CHECKPOINT), temporary=_TEMPORARY)

    def _tidy(self) -> None:
        """Removes what killed runs left half written."""
        if self.directory is None or not self.directory.is_dir():
            return
        with locked(self.directory):
            for path in leftovers(self.directory, _TEMPORARY):
                remove(path)
