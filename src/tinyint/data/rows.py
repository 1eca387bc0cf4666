"""Splitting of batches of any size into samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tinyint.data.sample import Sample
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array
from tinyint.runtimes.base import TensorSpec

# Array names that hold labels, unless the model has an input of that name.
LABEL_NAMES = ("labels", "label", "y")


def batch_rows(spec: TensorSpec) -> int:
    """Rows of one sample: the model's fixed batch size, or 1 if it is open."""
    return spec.shape[0] or 1 if spec.shape else 1


def is_open(spec: TensorSpec) -> bool:
    """Whether axis 0 may have length 1."""
    return bool(spec.shape) and spec.shape[0] in (None, 1)


def as_label(value: Array, where: str) -> int | Array:
    """Label as int if it is a single whole number, else as an array.

    Raises DataError for values that are not numbers.
    """
    if value.dtype.kind not in "iufb":
        raise DataError(f"{where}: the label is of type {value.dtype}; expected numbers")
    if value.size == 1 and value.dtype.kind in "iub":
        return int(value.reshape(()))
    return np.array(value)


def split_batch(
    arrays: Mapping[str, Array], label: Array | None, specs: Sequence[TensorSpec], name: str
) -> Iterator[Sample]:
    """Samples of an item: one sample (with a batch axis or without), or several.

    A batch is split along axis 0 if all inputs with a batch agree on the number of samples; an input whose first axis
    is no batch is part of each sample. Otherwise the item is one sample, and the later check of shapes decides. Raises
    DataError if the number of labels does not fit.
    """
    inputs = {}
    counts: dict[str, int] = {}
    for spec in specs:
        array = arrays[spec.name]
        if is_open(spec) and array.ndim == len(spec.shape) - 1:
            array = array[None]
        elif array.ndim == len(spec.shape) > 0 and len(array) % batch_rows(spec) == 0:
            counts[spec.name] = len(array) // batch_rows(spec)
        inputs[spec.name] = array
    distinct = {count for count in counts.values() if count != 1}
    shared = {n for n, count in counts.items() if count == 1}
    can_split = (
        len(distinct) == 1 and distinct != {0} and not any(is_open(s) for s in specs if s.name in shared)
    )
    if not can_split:
        yield Sample(inputs, None if label is None else as_label(label, name), name)
        return
    (count,) = distinct
    labels = _split_labels(label, count, name)
    for i in range(count):
        parts = {}
        for spec in specs:
            rows = batch_rows(spec)
            array = inputs[spec.name]
            parts[spec.name] = array[i * rows : (i + 1) * rows] if counts.get(spec.name) == count else array
        yield Sample(parts, labels[i], f"{name}[{i}]")


def _split_labels(label: Array | None, count: int, name: str) -> list[int | Array | None]:
    if label is None:
        return [None] * count
    if label.ndim == 0 or len(label) % count:
        raise DataError(f"{name}: {count} samples, but labels of shape {label.shape}")
    rows = len(label) // count
    return [as_label(label[i * rows : (i + 1) * rows] if rows > 1 else label[i], name) for i in range(count)]
