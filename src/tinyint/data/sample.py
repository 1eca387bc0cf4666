"""Interfaces of samples and datasets; a dataset can be read any number of times."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tinyint.data.labels import Label, LabelKind
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array

if TYPE_CHECKING:
    from tinyint.data.declaration import Declaration


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample, in the form that the model takes.

    * `inputs`: an array per model input, with its batch axis if it has one (of length 1, or the model's fixed batch)
    * `label`: a class number, an array of labels (a mask: uint8 (H, W) at the size of the input), `Boxes`, or None
    * `name`: its name in messages, such as "img_3.png" or "calib.npy[3]"
    """

    inputs: dict[str, Array]
    label: Label | None = None
    name: str = ""


class Dataset(Protocol):
    """Lazily read samples, in the same order on every pass."""

    @property
    def len_hint(self) -> int | None:
        """Number of samples; None if only a full pass would tell."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """Identity of the data, from paths, sizes, times and preprocessing.

        None for data in memory, or from code.
        """
        ...

    @property
    def preprocessing(self) -> Declaration | None:
        """Preprocessing of image files or texts; None for other data."""
        ...

    @property
    def label_kind(self) -> LabelKind | None:
        """Kind of the labels.

        None without labels, and for arrays, whose labels may be of any kind.
        """
        ...

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names in the order of their numbers; None if unknown."""
        ...

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences for the user: assumptions, casts, omissions; more may come as samples are read."""
        ...

    @property
    def skipped(self) -> tuple[str, ...]:
        """Reason for each sample that was skipped so far; a notice counts them."""
        ...

    def __iter__(self) -> Iterator[Sample]: ...


class Source(Protocol):
    """Source of samples of one form, before selection and checks.

    `read` yields the samples start, …, stop - 1 (or to the end). For an unreadable sample it yields the error, if the
    others are readable; an error that ends the reading is raised.
    """

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None: ...

    @property
    def fingerprint(self) -> str | None: ...

    @property
    def preprocessing(self) -> Declaration | None:
        """Preprocessing of files; None for samples that are taken as they are."""
        ...

    @property
    def notices(self) -> list[str]: ...

    @property
    def label_kind(self) -> LabelKind | None: ...

    @property
    def classes(self) -> tuple[str, ...] | None: ...

    def read(self, start: int, stop: int | None) -> Generator[Sample | DataError]: ...


def stack(samples: Sequence[Sample]) -> dict[str, Array]:
    """Batch of samples: each input joined along its batch axis, axis 0.

    A scalar input (a setting) must be the same in all samples, and is passed once. Raises DataError if there are no
    samples, or if two of them differ in inputs or shapes.
    """
    if not samples:
        raise DataError("cannot build a batch from no samples")
    first = samples[0]
    for other in samples[1:]:
        _check_same_shape(first, other)
    if len(samples) == 1:
        return dict(first.inputs)
    return {
        name: np.concatenate([s.inputs[name] for s in samples]) if array.ndim else array
        for name, array in first.inputs.items()
    }


def batches(data: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    """Batches of up to `size` samples of the same shape."""
    batch: list[Sample] = []
    for sample in data:
        if batch and _shapes(sample) != _shapes(batch[0]):
            yield batch
            batch = []
        batch.append(sample)
        if len(batch) == size:  # without reading the next sample first
            yield batch
            batch = []
    if batch:
        yield batch


def _shapes(sample: Sample) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in sample.inputs.items()}


def _check_same_shape(first: Sample, other: Sample) -> None:
    if first.inputs.keys() != other.inputs.keys():
        raise DataError(
            f"{first.name} has the inputs {sorted(first.inputs)}, {other.name} has {sorted(other.inputs)}"
        )
    for name, array in first.inputs.items():
        theirs = other.inputs[name]
        if array.ndim == 0 and theirs.ndim == 0 and array != theirs:
            raise DataError(
                f"input {name!r} is {array} in {first.name} and {theirs} in {other.name}: "
                "a scalar input must be the same throughout a batch; use a batch size of 1"
            )
        if array.shape[1:] != theirs.shape[1:] or array.ndim != theirs.ndim:
            raise DataError(
                f"input {name!r} has shape {array.shape} in {first.name} and {theirs.shape} in {other.name}: "
                "samples of different shapes do not fit into one batch; use a batch size of 1, or resize and crop"
            )


def content_key(sample: Sample) -> bytes:
    """16-byte hash of the inputs' names, types, shapes and values.

    It depends neither on the order of the inputs nor on the label.
    """
    digest = hashlib.sha256()
    for name in sorted(sample.inputs):
        array = np.asarray(sample.inputs[name], order="C")
        digest.update(f"{len(name)}:{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.digest()[:16]
