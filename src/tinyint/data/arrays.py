"""Samples from arrays along axis 0: .npy, .npz, and arrays in memory."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tinyint.data.check import transposed
from tinyint.data.images import file_identity
from tinyint.data.rows import LABEL_NAMES, as_label, batch_rows, is_open
from tinyint.data.sample import Sample
from tinyint.data.stored import LARGEST, MemoryTable, Table, open_npy, open_npz
from tinyint.errors import DataError, nearest
from tinyint.numbers.numerics import Array
from tinyint.runtimes.base import TensorSpec


@dataclass(frozen=True)
class _Column:
    """Array whose samples are `rows` rows each, without the row axis if `single`."""

    table: Table
    rows: int
    single: bool

    @property
    def size(self) -> int:
        return self.table.shape[0] // self.rows

    def read(self, start: int, stop: int) -> Iterator[Array]:
        for block in self.table.blocks(self.rows, start, stop):
            yield block[0] if self.single else block


@dataclass(frozen=True, kw_only=True)
class ArraySource:
    """Samples from columns of equal length; `path`: their file, if any."""

    name: str
    columns: Mapping[str, _Column]
    label: _Column | None
    path: Path | None = None
    notices: list[str] = field(default_factory=list)
    preprocessing: None = None
    label_kind: None = None
    classes: None = None

    @property
    def size(self) -> int:
        return next(iter(self.columns.values())).size

    @cached_property
    def fingerprint(self) -> str | None:
        return (
            None if self.path is None else hashlib.sha256(os.fsencode(file_identity(self.path))).hexdigest()
        )

    def read(self, start: int, stop: int | None) -> Generator[Sample | DataError]:
        end = self.size if stop is None else min(stop, self.size)
        columns = {name: column.read(start, end) for name, column in self.columns.items()}
        labels = self.label.read(start, end) if self.label else None
        for i in range(start, end):
            name = f"{self.name}[{i}]"
            inputs = {key: next(column) for key, column in columns.items()}
            yield Sample(inputs, None if labels is None else as_label(next(labels), name), name)


def npy_source(path: Path, specs: Sequence[TensorSpec]) -> ArraySource:
    """Source of a .npy file, for a model with one input. Raises DataError."""
    if len(specs) != 1:
        names = ", ".join(repr(spec.name) for spec in specs)
        raise DataError(
            f"{path} is one array, the model has {len(specs)} inputs ({names}): save them by name in an .npz"
        )
    return array_source({specs[0].name: open_npy(path)}, specs, path.name, path)


def npz_source(path: Path, specs: Sequence[TensorSpec]) -> ArraySource:
    """Source of an .npz file: an array per input, and perhaps labels.

    The labels are called `labels`, `label` or `y`. Raises DataError.
    """
    tables = open_npz(path)
    if len(specs) == 1 and "arr_0" in tables and specs[0].name not in tables:  # saved without a name
        tables[specs[0].name] = tables.pop("arr_0")
    return array_source(tables, specs, path.name, path)


def array_source(
    tables: Mapping[str, Table], specs: Sequence[TensorSpec], name: str, path: Path | None = None
) -> ArraySource:
    """Source of an array per input.

    Raises DataError if an input is missing, a rank does not fit, or the numbers of samples differ.
    """
    columns = {}
    for spec in specs:
        if spec.name not in tables:
            hint = nearest(spec.name, tables)
            raise DataError(f"{name} has no array for the model's input {spec.name!r} ({spec}): {hint}")
        columns[spec.name] = _column(tables[spec.name], spec, name)
    sizes = {key: column.size for key, column in columns.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{key!r}: {size}" for key, size in sizes.items())
        raise DataError(f"the arrays of {name} hold different numbers of samples ({listed})")
    count = next(iter(sizes.values()))
    label_names = [key for key in LABEL_NAMES if key in tables and key not in columns]
    label = (
        _label_column(tables[label_names[0]], count, f"{name}[{label_names[0]!r}]") if label_names else None
    )
    notices = []
    if others := sorted(set(tables) - set(columns) - set(label_names[:1])):
        notices.append(f"arrays of {name} that are no inputs of the model are left out: {', '.join(others)}")
    return ArraySource(name=name, columns=columns, label=label, path=path, notices=notices)


def _column(table: Table, spec: TensorSpec, name: str) -> _Column:
    """Column of an input: its rows are samples, with a batch axis or without."""
    where = f"{name}, input {spec.name!r}"
    if not table.shape or 0 in table.shape:
        raise DataError(
            f"{where}: the array is empty (shape {table.shape}); expected samples of {spec} along axis 0"
        )
    single = len(table.shape) == len(spec.shape) + 1
    fits = single or len(table.shape) == len(spec.shape)
    rows = 1 if single else batch_rows(spec)
    sample = table.shape[1:] if single else (rows, *table.shape[1:])
    if not fits or not all(dim in (None, size) for dim, size in zip(spec.shape, sample, strict=True)):
        hint = transposed(sample, spec) if fits else ""
        raise DataError(
            f"{where}: the array has shape {table.shape}; expected samples of {spec} along axis 0{hint}"
        )
    _require_readable(table, rows, where)
    if single:
        return _Column(table, 1, single=True)
    if not is_open(spec) and table.shape[0] % rows:
        raise DataError(
            f"{where}: {table.shape[0]} rows are no multiple of the model's fixed batch of {rows} ({spec})"
        )
    return _Column(table, rows, single=False)


def _label_column(table: Table, count: int, name: str) -> _Column:
    if not table.shape or table.shape[0] == 0 or table.shape[0] % count:
        raise DataError(f"{name} has shape {table.shape}, but there are {count} samples")
    rows = table.shape[0] // count
    _require_readable(table, rows, name)
    return _Column(table, rows, single=rows == 1)


def _require_readable(table: Table, rows: int, where: str) -> None:
    """Raises DataError for a sample that is too large for memory, before it is unpacked."""
    size = table.dtype.itemsize * rows * math.prod(table.shape[1:])
    if size > LARGEST and not isinstance(table, MemoryTable):
        raise DataError(
            f"{where}: one sample takes {size / 2**30:.1f} GiB (shape {table.shape}); at most 1 GiB is read"
        )
