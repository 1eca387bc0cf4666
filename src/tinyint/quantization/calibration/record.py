"""Calibration record: summaries of every observed tensor, for any target's scales.

The file is an `.npz`. The same model and samples give the same bytes, in whatever order or parts they came. What steps
asked for beyond the summaries, and decided, is in files of format 3; a record without any is one of format 2.
"""

from __future__ import annotations

import bisect
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tinyint.data.stored import LARGEST, Table, open_npz
from tinyint.errors import RecordError
from tinyint.files import atomic_write
from tinyint.numbers.numerics import Array
from tinyint.numbers.observers import HALF, TAIL, Extremes, Histogram, Summary
from tinyint.quantization.calibration.patches import Patches
from tinyint.quantization.calibration.statistics import STATISTICS, Request, Statistic

__all__ = ["CalibrationRecord", "Decision"]

Decision: TypeAlias = Mapping[str, Any]
"""What a step took from the data, as JSON: enough to carry it out again without them."""

_PLAIN, _WITH_STEPS = 2, 3  # formats
_ANEW = "make it anew with `tinyint calibrate`"
_KEY_BYTES = 16
_ARRAYS = ("header", "seen", "counts", "tail_keys", "tail_extrema")
# Of a header, of the tensors of a model (a gigabyte of counts), and of samples.
_MOST_BYTES, _MOST_TENSORS, _MOST_SAMPLES = 2**26, 2**14, 2**24


@dataclass(eq=True)
class CalibrationRecord:
    """Summaries by tensor name, and the statistics that were asked for.

    * `model_fingerprint`: of the float model that was run (`graph.io.model_fingerprint`)
    * `data_fingerprint`: the sum of the samples' content keys modulo 2^128, so that their order does not matter
    * `seen`: of each sample the first 8 bytes of its content key, sorted
    * `decisions`: of the steps that made the model's graph from the data, by their names
    """

    model_fingerprint: str
    summaries: dict[str, Summary] = field(default_factory=dict)
    data_fingerprint: int = 0
    seen: array[int] = field(default_factory=lambda: array("Q"))
    statistics: dict[Request, Statistic] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return len(self.seen)

    def saw(self, key: bytes) -> bool:
        """Whether the record includes a sample of this content key."""
        prefix = _prefix(key)
        place = bisect.bisect_left(self.seen, prefix)
        return place < len(self.seen) and self.seen[place] == prefix

    @property
    def identity(self) -> str:
        """Key shared by records of the same samples and model."""
        return f"{self.samples}-{self.data_fingerprint:032x}-{self.model_fingerprint[:32]}"

    def count(self, key: bytes) -> None:
        """Notes that the sample of this content key was seen."""
        bisect.insort(self.seen, _prefix(key))
        self.data_fingerprint = (self.data_fingerprint + int.from_bytes(key, "big")) % 2 ** (8 * _KEY_BYTES)

    def merge(self, other: CalibrationRecord) -> None:
        """Adds the samples of `other`.

        Raises RecordError if it is of another model, or has other statistics.
        """
        other.require_model(self.model_fingerprint)
        if self.statistics.keys() != other.statistics.keys():
            odd = sorted(map(str, self.statistics.keys() ^ other.statistics.keys()))
            raise RecordError(
                f"only one of two calibration records has the {odd[0]}; make them for the same steps"
            )
        for need, statistic in other.statistics.items():
            self.statistics[need].merge(statistic)
        for name, summary in other.summaries.items():
            self.summaries.setdefault(name, Summary()).merge(summary)
        self.seen = array("Q", sorted([*self.seen, *other.seen]))
        self.data_fingerprint = (self.data_fingerprint + other.data_fingerprint) % 2 ** (8 * _KEY_BYTES)

    def statistic(self, need: Request) -> Statistic:
        """The requested statistic of a tensor.

        Raises RecordError if it was not requested.
        """
        found = self.statistics.get(need)
        if found is None or not found.samples:
            raise RecordError(
                f"the calibration record lacks the {need}, which a step of the recipe needs; give the data, or a "
                "record that was made with this step"
            )
        return found

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
        """Reads a record.

        Raises RecordError if it cannot be read, or its numbers contradict each other.
        """
        try:
            if not os.path.exists(path):
                raise RecordError(f"{path}: there is no such file; make a record with `tinyint calibrate`")
            tables = open_npz(Path(path))
            if missing := [name for name in _ARRAYS if name not in tables]:
                raise RecordError(
                    f"{path}: not a calibration record: it lacks {', '.join(missing)}; "
                    "make one with `tinyint calibrate`"
                )
            return _from_tables(tables)
        except RecordError as error:
            raise RecordError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
        except Exception as error:  # zipfile, zlib, json and NumPy tell a damaged file in a dozen ways
            raise RecordError(
                f"{path}: not a calibration record, or a damaged one ({error}); {_ANEW}"
            ) from error


def _prefix(key: bytes) -> int:
    return int.from_bytes(key[:8], "big")


def _to_arrays(record: CalibrationRecord) -> dict[str, Any]:
    names = sorted(record.summaries)
    summaries = [record.summaries[name] for name in names]
    header: dict[str, Any] = {
        "format": _PLAIN,
        "model": record.model_fingerprint,
        "data": f"{record.data_fingerprint:032x}",
        "samples": record.samples,
        "tensors": [{"name": name, **s.to_header()} for name, s in zip(names, summaries, strict=True)],
    }
    needs = sorted(record.statistics, key=str)
    if needs or record.decisions:
        header |= {"format": _WITH_STEPS, "decisions": record.decisions}
        header["statistics"] = [_described(need, record.statistics[need]) for need in needs]
    tails = [entry for s in summaries for entry in s.tail]
    arrays = {
        f"statistic/{i}/{name}": values
        for i, need in enumerate(needs)
        for name, values in record.statistics[need].to_arrays().items()
    }
    return {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "counts": np.stack([s.histogram.counts for s in summaries])
        if summaries
        else np.zeros((0, 2 * HALF), np.int64),
        "seen": np.array(record.seen, np.uint64),
        "tail_keys": np.frombuffer(b"".join(e.key for e in tails), np.uint8).reshape(-1, _KEY_BYTES),
        "tail_extrema": np.array([(e.lo, e.hi) for e in tails], np.float32).reshape(-1, 2),
        **arrays,
    }


def _described(need: Request, statistic: Statistic) -> dict[str, Any]:
    return {**need.to_header(), **statistic.to_header()}


def _from_tables(tables: Mapping[str, Table]) -> CalibrationRecord:
    """Each array is held against what the header says of it before it is unpacked."""
    header = json.loads(
        _whole(tables["header"], np.uint8, (min(tables["header"].shape[0], _MOST_BYTES),)).tobytes()
    )
    if not isinstance(header, dict) or header["format"] not in (_PLAIN, _WITH_STEPS):
        raise RecordError(f"the calibration record has another format; {_ANEW}")
    described = header["tensors"]
    if len(described) > _MOST_TENSORS:
        raise ValueError(f"{len(described)} tensors, where no model has more than {_MOST_TENSORS}")
    record = CalibrationRecord(
        model_fingerprint=str(header["model"]),
        data_fingerprint=int(header["data"], 16),
        seen=_seen(tables["seen"], int(header["samples"])),
    )
    tails = [int(tensor["tail"]) for tensor in described]
    if any(not 0 <= tail <= TAIL for tail in tails):
        raise ValueError(f"more than {TAIL} single samples of a tensor")
    keys = _whole(tables["tail_keys"], np.uint8, (sum(tails), _KEY_BYTES))
    extrema = _whole(tables["tail_extrema"], np.float32, (sum(tails), 2))
    start = 0
    for tensor, length, counts in zip(described, tails, _rows(tables["counts"], len(described)), strict=True):
        pairs = zip(keys[start : start + length], extrema[start : start + length], strict=True)
        tail = [Extremes(k.tobytes(), float(lo), float(hi)) for k, (lo, hi) in pairs]
        histogram = Histogram()
        histogram.exponent, histogram.counts = tensor["exponent"], counts
        summary = Summary.from_header(tensor, tail, histogram)
        _check(record, tensor["name"], summary)
        record.summaries[tensor["name"]] = summary
        start += length
    for i, told in enumerate(header.get("statistics", ())):
        need, statistic = _statistic(told, tables, f"statistic/{i}")
        if need in record.statistics or statistic.samples != record.samples:
            raise ValueError(f"the {need} is there twice, or of {statistic.samples} samples")
        record.statistics[need] = statistic
    record.decisions.update(_decisions(header.get("decisions", {})))
    return record


def _statistic(told: Mapping[str, Any], tables: Mapping[str, Table], place: str) -> tuple[Request, Statistic]:
    kind = STATISTICS[told["kind"]]
    layout = kind.layout(told)
    for dtype, shape in layout.values():
        if min(shape, default=0) < 0 or np.prod(shape, dtype=object) * np.dtype(dtype).itemsize > LARGEST:
            raise ValueError(f"a statistic of the shape {shape}")
    arrays = {
        name: _whole(tables[f"{place}/{name}"], dtype, shape) for name, (dtype, shape) in layout.items()
    }
    need = Request(
        statistic=kind,
        tensor=str(told["tensor"]),
        axis=int(told["axis"]),
        patches=Patches.from_header(told["patches"]) if "patches" in told else None,
        block=int(told["block"]) if "block" in told else None,
    )
    return need, kind.from_stored(told, arrays)


def _decisions(told: object) -> dict[str, Decision]:
    if not isinstance(told, dict) or not all(isinstance(decision, dict) for decision in told.values()):
        raise ValueError("decisions of steps that are none")
    return told


def _whole(table: Table, dtype: type[np.generic], shape: tuple[int, ...]) -> Array:
    if table.dtype != dtype or table.shape != shape:
        raise ValueError(
            f"an array of {table.dtype} {table.shape} where {np.dtype(dtype)} {shape} is expected"
        )
    return next(iter(table.blocks(shape[0], 0, 1))) if all(shape) else np.zeros(shape, dtype)


def _seen(table: Table, samples: int) -> array[int]:
    if samples > _MOST_SAMPLES:
        raise ValueError(f"{samples} samples, where at most {_MOST_SAMPLES} are kept")
    found = _whole(table, np.uint64, (samples,))
    if (np.sort(found) != found).any():
        raise ValueError("the samples are not in order")
    return array("Q", found.tobytes())


def _rows(table: Table, count: int) -> Iterator[Array]:
    """Row by row, so that a lie shows before all of them are in memory."""
    if table.dtype != np.int64 or table.shape != (count, 2 * HALF):
        raise ValueError(f"counts of {table.dtype} {table.shape} for {count} tensors")
    return (block[0] for block in table.blocks(1, 0, count))


def _check(record: CalibrationRecord, name: object, summary: Summary) -> None:
    """Raises ValueError for what no calibration leaves."""
    if not isinstance(name, str) or name in record.summaries:
        raise ValueError(f"the tensor name {name!r} is no text, or there twice")
    if summary.samples != record.samples:
        raise ValueError(f"tensor {name!r} has {summary.samples} of {record.samples} samples")
    if fault := summary.contradiction():
        raise ValueError(f"tensor {name!r}: {fault}")
    keys = [entry.key for entry in summary.tail]
    others = next(iter(record.summaries.values()), summary).tail
    if keys != [entry.key for entry in others]:
        raise ValueError(f"tensor {name!r} has seen other samples than the tensors before it")
    if [_prefix(key) for key in keys] != record.seen[: len(keys)].tolist():
        raise ValueError(f"tensor {name!r} keeps other samples than the record has seen")
    total = sum(int.from_bytes(key, "big") for key in keys) % 2 ** (8 * _KEY_BYTES)
    if len(keys) == record.samples and total != record.data_fingerprint:
        raise ValueError("the fingerprint of the data is not that of their samples")
