"""What calibration leaves: a summary of every observed tensor, from which any target's scales follow.

The file is an `.npz`. The same model and samples give the same bytes, in whatever order or parts they came.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyint.errors import RecordError
from tinyint.files import atomic_write
from tinyint.observers import HALF, Extremes, Histogram, Summary

__all__ = ["CalibrationRecord"]

_FORMAT = 2
_ANEW = "make it anew with `tinyint calibrate`"
_KEY_BYTES = 16
_ARRAYS = ("header", "counts", "tail_keys", "tail_extrema")


@dataclass(eq=True)
class CalibrationRecord:
    """Summaries by tensor name.

    * `model_fingerprint`: of the float model that was run (`graph.io.model_fingerprint`)
    * `data_fingerprint`: the sum of the samples' content keys modulo 2^128, so that their order does not matter
    """

    model_fingerprint: str
    summaries: dict[str, Summary] = field(default_factory=dict)
    data_fingerprint: int = 0
    samples: int = 0

    @property
    def identity(self) -> str:
        """What two records of the same samples and model have in common, in a word."""
        return f"{self.samples}-{self.data_fingerprint:032x}-{self.model_fingerprint[:32]}"

    def count(self, key: bytes) -> None:
        """Notes that the sample of this content key was seen."""
        self.samples += 1
        self.data_fingerprint = (self.data_fingerprint + int.from_bytes(key, "big")) % 2 ** (8 * _KEY_BYTES)

    def merge(self, other: CalibrationRecord) -> None:
        """Adds the samples of `other`. Raises RecordError if it is of another model."""
        other.require_model(self.model_fingerprint)
        for name, summary in other.summaries.items():
            self.summaries.setdefault(name, Summary()).merge(summary)
        self.samples += other.samples
        self.data_fingerprint = (self.data_fingerprint + other.data_fingerprint) % 2 ** (8 * _KEY_BYTES)

    def require_model(self, fingerprint: str) -> None:
        """Raises RecordError unless the record was made with the model of that fingerprint."""
        if self.model_fingerprint != fingerprint:
            raise RecordError(
                f"the calibration record was made with another model: its fingerprint is "
                f"{self.model_fingerprint[:12]}…, this model's is {fingerprint[:12]}…; "
                "calibrate this model, or name the one that the record is from"
            )

    def save(self, path: str | Path) -> None:
        """Writes the record, whole or not at all. Raises OutputError."""
        with atomic_write(Path(path)) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **_to_arrays(self))

    @classmethod
    def load(cls, path: str | Path) -> CalibrationRecord:
        """Reads a record. Raises RecordError if it cannot be read or is damaged."""
        try:
            if os.path.isfile(path) and not zipfile.is_zipfile(path):
                raise RecordError(f"{path}: not a calibration record, or a damaged one; {_ANEW}")
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                if missing := [name for name in _ARRAYS if name not in archive]:
                    raise RecordError(
                        f"{path}: not a calibration record: it lacks {', '.join(missing)}; "
                        "make one with `tinyint calibrate`"
                    )
                return _from_arrays({name: archive[name] for name in _ARRAYS})
        except FileNotFoundError:
            raise RecordError(
                f"{path}: there is no such file; make a record with `tinyint calibrate`"
            ) from None
        except RecordError:
            raise
        except Exception as error:  # zipfile, zlib, json and NumPy tell a damaged file in a dozen ways
            raise RecordError(
                f"{path}: not a calibration record, or a damaged one ({error}); {_ANEW}"
            ) from error


def _to_arrays(record: CalibrationRecord) -> dict[str, Any]:
    names = sorted(record.summaries)
    summaries = [record.summaries[name] for name in names]
    header = {
        "format": _FORMAT,
        "model": record.model_fingerprint,
        "data": f"{record.data_fingerprint:032x}",
        "samples": record.samples,
        "tensors": [{"name": name, **s.to_header()} for name, s in zip(names, summaries, strict=True)],
    }
    tails = [entry for s in summaries for entry in s.tail]
    return {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "counts": np.stack([s.histogram.counts for s in summaries])
        if summaries
        else np.zeros((0, 2 * HALF), np.int64),
        "tail_keys": np.frombuffer(b"".join(e.key for e in tails), np.uint8).reshape(-1, _KEY_BYTES),
        "tail_extrema": np.array([(e.lo, e.hi) for e in tails], np.float32).reshape(-1, 2),
    }


def _from_arrays(arrays: dict[str, Any]) -> CalibrationRecord:
    header = json.loads(arrays["header"].tobytes())
    if not isinstance(header, dict) or header["format"] != _FORMAT:
        raise RecordError(f"the calibration record has another format; {_ANEW}")
    record = CalibrationRecord(
        model_fingerprint=str(header["model"]),
        data_fingerprint=int(header["data"], 16),
        samples=int(header["samples"]),
    )
    counts = arrays["counts"]
    keys, extrema = arrays["tail_keys"], arrays["tail_extrema"]
    if (
        counts.shape != (len(header["tensors"]), 2 * HALF)
        or counts.dtype != np.int64
        or len(keys) != len(extrema)
    ):
        raise ValueError(f"counts of shape {counts.shape} for {len(header['tensors'])} tensors")
    start = 0
    for row, tensor in zip(counts, header["tensors"], strict=True):
        stop = start + int(tensor["tail"])
        pairs = zip(keys[start:stop], extrema[start:stop], strict=True)
        tail = [Extremes(k.tobytes(), float(lo), float(hi)) for k, (lo, hi) in pairs]
        histogram = Histogram()
        histogram.exponent, histogram.counts = tensor["exponent"], row
        record.summaries[tensor["name"]] = Summary.from_header(tensor, tail, histogram)
        start = stop
    return record
