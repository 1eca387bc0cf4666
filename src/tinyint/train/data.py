"""Batches by number: what stands at a position of the training is a function of the seed and of that position alone.

The samples of epoch e are shuffled by (seed, e), and the epochs follow each other without a gap: batch t holds the
positions t·B, …, (t + 1)·B - 1. So a run can go on at any iteration, and the number of devices and of workers changes
nothing: a device takes its part of each batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from tinyint.data import Preprocessing, Sample, open_data, stack
from tinyint.data.images import ImageSource, load_image
from tinyint.data.open import CheckedDataset
from tinyint.errors import DataError, TinyintError
from tinyint.runtimes.base import TensorSpec
from tinyint.train.augment import augment
from tinyint.train.config import Augmentation

__all__ = [
    "Batch",
    "InOrder",
    "Items",
    "LabelCheck",
    "Shuffled",
    "Slices",
    "open_items",
    "preprocessing_of",
    "read_batches",
]


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs by name, each joined along its batch axis, and the labels, if there are any."""

    inputs: dict[str, Tensor]
    labels: Tensor | None
    samples: int


@dataclass(frozen=True)
class LabelCheck:
    """What a label must be: a class number below `classes`, or `ignored`; nothing if labels are not `needed`."""

    needed: bool
    classes: int
    ignored: int | None = None

    def __call__(self, sample: Sample) -> NDArray[np.int64]:
        """The sample's labels. Raises DataError naming the sample."""
        if sample.label is None:
            raise DataError(
                f"{sample.name} has no label, which the loss needs; give labelled data (class folders, a list "
                "file, an array `labels`), or loss.teacher=true for QAT without labels"
            )
        label = np.asarray(sample.label)
        if label.dtype.kind not in "iu":
            raise DataError(f"{sample.name}: the label is of type {label.dtype}; expected class numbers")
        label = label.astype(np.int64)
        wrong = label[((label < 0) | (label >= self.classes)) & (label != self.ignored)]
        if wrong.size:
            raise DataError(
                f"{sample.name} has the label {wrong.flat[0]}, but the model has the classes 0 to "
                f"{self.classes - 1}; check the order and the start of the labels, or set loss.ignore_label"
            )
        return label


class Items(Protocol):
    """Samples by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True, eq=False)
class _ImageItems:
    """Image files, read when they are asked for."""

    source: ImageSource

    def __len__(self) -> int:
        return len(self.source.files)

    def __getitem__(self, index: int) -> Sample:
        file, spec = self.source.files[index], self.source.spec
        image = load_image(file.path, self.source.preprocessing, spec.dtype)
        return Sample({spec.name: image[None]}, file.label, file.name)


def open_items(
    spec: str, inputs: Sequence[TensorSpec], preprocessing: Preprocessing | None
) -> tuple[Items, tuple[str, ...]]:
    """The samples that `spec` names, and what the user should be told about them.

    Image files are read when they are needed; arrays and what a function yields are read once and kept in memory.
    Raises DataError.
    """
    dataset = open_data(spec, inputs, preprocessing)
    assert isinstance(dataset, CheckedDataset)
    if isinstance(dataset.source, ImageSource) and len(inputs[0].shape) == 4:
        if inputs[0].shape[0] is not None and inputs[0].shape[0] > 1:
            raise DataError(
                f"the model takes exactly {inputs[0].shape[0]} images at a time; export it with an open batch axis"
            )
        return _ImageItems(dataset.source), dataset.notices
    return list(dataset), dataset.notices


@dataclass(frozen=True, eq=False)
class Shuffled:
    """The endless stream of augmented samples; an item is a sample, or the error that reading it met."""

    items: Items
    seed: int
    augmentation: Augmentation
    order: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", lru_cache(maxsize=2)(self._order))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "order"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.items))

    def __getitem__(self, position: int) -> Sample | TinyintError:
        epoch, place = divmod(position, len(self.items))
        try:
            sample = self.items[int(self.order(epoch)[place])]
            if self.augmentation == Augmentation():
                return sample
            generator = np.random.default_rng((self.seed, 1, position))
            inputs = {k: augment(array, self.augmentation, generator) for k, array in sample.inputs.items()}
            return Sample(inputs, sample.label, sample.name)
        except TinyintError as error:
            return error  # torch's loader would bury it in a traceback


@dataclass(frozen=True, eq=False)
class InOrder:
    """The samples as they are; an item is a sample, or the error that reading it met."""

    items: Items

    def __getitem__(self, position: int) -> Sample | TinyintError:
        try:
            return self.items[position]
        except TinyintError as error:
            return error


@dataclass(frozen=True)
class Slices:
    """The positions of each batch that are this device's: batches start, …, stop - 1 of `size`, part `rank` of `world`.

    The last batch is cut at `end`, if that is given.
    """

    start: int
    stop: int
    size: int
    rank: int = 0
    world: int = 1
    end: int | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[int]]:
        part = self.size // self.world
        for batch in range(self.start, self.stop):
            first = batch * self.size + self.rank * part
            last = first + part if self.end is None else min(first + part, self.end)
            if first < last:
                yield list(range(first, last))


def read_batches(items: Any, slices: Slices, workers: int, check: LabelCheck) -> Iterator[Batch]:
    """The batches in order, read ahead by `workers` processes. Raises DataError."""
    loader: DataLoader[Any] = DataLoader(
        items,
        batch_sampler=slices,
        num_workers=workers,
        collate_fn=_Collate(check),
        generator=torch.Generator(),  # not torch's own, whose numbers are the network's
        prefetch_factor=4 if workers else None,
    )
    for batch in loader:
        if isinstance(batch, TinyintError):
            raise batch
        yield batch


@dataclass(frozen=True)
class _Collate:
    check: LabelCheck

    def __call__(self, samples: list[Sample | TinyintError]) -> Batch | TinyintError:
        try:
            return self._join(samples)
        except TinyintError as error:
            return error

    def _join(self, samples: list[Sample | TinyintError]) -> Batch:
        read = []
        for sample in samples:
            if isinstance(sample, TinyintError):
                raise sample
            read.append(sample)
        inputs = {name: torch.from_numpy(array) for name, array in stack(read).items()}
        return Batch(inputs, self._labels(read) if self.check.needed else None, len(read))

    def _labels(self, samples: Sequence[Sample]) -> Tensor:
        labels = [self.check(sample) for sample in samples]
        if len(shapes := {label.shape for label in labels}) > 1:
            raise DataError(f"the labels of one batch have the shapes {sorted(shapes)}; give them one size")
        return torch.from_numpy(np.stack(labels))


def preprocessing_of(given: str | dict[str, Any] | None) -> Preprocessing | None:
    """The preprocessing that a config declares. Raises DataError."""
    if given is None:
        return None
    return Preprocessing.parse(given) if isinstance(given, dict) else Preprocessing.load(Path(given))
