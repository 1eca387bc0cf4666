"""From batches of any size to samples: the batch axis, and its cuts."""

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
    """Rows of one sample along axis 0.

    1 where the batch is open (or 1), else the model's fixed batch.
    """
    return spec.shape[0] or 1 if spec.shape else 1


def is_open(spec: TensorSpec) -> bool:
    """Whether axis 0 takes a batch axis of length 1."""
    return bool(spec.shape) and spec.shape[0] in (None, 1)


def as_label(value: Array, where: str) -> int | Array:
    """Whole number as int, other numbers as an array.

    Raises DataError for anything else.
    """
    if value.dtype.kind not in "iufb":
        raise DataError(f"{where}: the label is of type {value.dtype}; expected numbers")
    if value.size == 1 and value.dtype.kind in "iub":
        return int(value.reshape(()))
    return np.array(value)


def split_batch(
    arrays: Mapping[str, Array], label: Array | None, specs: Sequence[TensorSpec], name: str
) -> Iterator[Sample]:
    """Samples of an item: sample without batch axis, with it, or batch.

    A batch is cut along axis 0 when all inputs that have a batch agree on how many samples there are; an input whose
    first axis is no batch goes with each sample. What cannot be cut stays whole (and the check of shapes has the last
    word).
    Raises DataError when the labels do not match.
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
    cuttable = (
        len(distinct) == 1 and distinct != {0} and not any(is_open(s) for s in specs if s.name in shared)
    )
    if not cuttable:
        yield Sample(inputs, None if label is None else as_label(label, name), name)
        return
    (count,) = distinct
    labels = _cut_labels(label, count, name)
    for i in range(count):
        cut = {}
        for spec in specs:
            rows = batch_rows(spec)
            whole = inputs[spec.name]
            cut[spec.name] = whole[i * rows : (i + 1) * rows] if counts.get(spec.name) == count else whole
        yield Sample(cut, labels[i], f"{name}[{i}]")


def _cut_labels(label: Array | None, count: int, name: str) -> list[int | Array | None]:
    if label is None:
        return [None] * count
    if label.ndim == 0 or len(label) % count:
        raise DataError(f"{name}: {count} samples, but labels of shape {label.shape}")
    rows = len(label) // count
    return [as_label(label[i * rows : (i + 1) * rows] if rows > 1 else label[i], name) for i in range(count)]
