"""Batches by number, each a function of seed and position alone.

The samples of epoch e are shuffled by (seed, e), and the epochs follow each other without a gap: batch t holds the
positions t·B, …, (t + 1)·B - 1. So a run can go on at any iteration, and the number of devices and of workers changes
nothing: a device takes its part of each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from tinyint.data import (
    Boxes,
    LabelKind,
    Sample,
    stack,
)
from tinyint.errors import DataError, TinyintError
from tinyint.tasks import Classification, Task, require_labels
from tinyint.train.augment import augment
from tinyint.train.config import Augmentation
from tinyint.train.items import AugmentedItems, Drawn, Items, Tolerant, draw

__all__ = [
    "Batch",
    "InOrder",
    "Items",
    "LabelCheck",
    "Shuffled",
    "Slices",
    "read_batches",
]


_CLASSES = Classification()


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs by name, each joined along its batch axis, and labels.

    `labels`: class numbers (N,), masks (N, H, W), or the boxes of each image. `skipped`: the numbers of the items that
    could not be read, and why.
    """

    inputs: dict[str, Tensor]
    labels: Tensor | list[Boxes] | None
    samples: int
    skipped: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class LabelCheck:
    """Check of labels: class numbers below `classes` or `ignored`.

    As `task` has them; nothing if not `needed`.
    """

    needed: bool
    classes: int
    ignored: int | None = None
    task: Task = _CLASSES

    def __call__(self, sample: Sample) -> NDArray[np.int64] | Boxes:
        """The sample's labels. Raises DataError naming the sample."""
        if sample.label is None:
            raise DataError(
                f"{sample.name} has no label, which the loss needs; give labelled data (class folders, a list "
                "file, an array `labels`), or loss.teacher=true for QAT without labels"
            )
        boxed = self.task.label_kind is LabelKind.BOXES
        if isinstance(sample.label, Boxes) or boxed:
            require_labels(LabelKind.of(sample.label), self.task, sample.name)
        if isinstance(sample.label, Boxes):
            self._check(sample.label.classes, sample.name)
            return sample.label
        label = np.asarray(sample.label)
        if label.dtype.kind not in "iu" or boxed:
            expected = LabelKind.BOXES if boxed else LabelKind.CLASS
            raise DataError(
                f"{sample.name}: the label is of type {label.dtype}, shape {label.shape}; expected {expected}"
            )
        label = label.astype(np.int64)
        self._check(label, sample.name)
        return label

    def _check(self, label: NDArray[np.int64], name: str) -> None:
        wrong = label[((label < 0) | (label >= self.classes)) & (label != self.ignored)]
        if wrong.size:
            ignores = "ignore_label" in self.task.loss_options
            raise DataError(
                f"{name} has the label {wrong.flat[0]}, but the model has the classes 0 to {self.classes - 1}; check "
                "the order and the start of the labels, or give the model as many classes as there are "
                f"(model.arguments.num_classes){', or set loss.ignore_label' if ignores else ''}"
            )


@dataclass(frozen=True, eq=False)
class Shuffled:
    """Endless stream of augmented samples, or errors of reading them.

    `ignored` is the class number of the pixels of a mask that augmentation brings in.
    """

    items: Items
    seed: int
    augmentation: Augmentation
    ignored: int = 255
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

    def __getitem__(self, position: int) -> Drawn | TinyintError:
        epoch, place = divmod(position, len(self.items))
        plain = self.augmentation == Augmentation()
        try:
            index = int(self.order(epoch)[place])
            return draw(self.items, index, replaced=True, change=None if plain else self._change(position))
        except TinyintError as error:
            return error  # torch's loader would bury it in a traceback

    def _change(self, position: int) -> Callable[[int], Sample]:
        """What reads an item, changed by the random numbers of the position."""
        items: Any = self.items.items if isinstance(self.items, Tolerant) else self.items

        def read(index: int) -> Sample:
            generator = np.random.default_rng((self.seed, 1, position))
            if hasattr(items, "augmented"):
                return cast(AugmentedItems, items).augmented(
                    index, self.augmentation, generator, self.ignored
                )
            return augment(items[index], self.augmentation, generator)

        return read


@dataclass(frozen=True, eq=False)
class InOrder:
    """Samples as they are, none twice, or errors of reading them."""

    items: Items

    def __getitem__(self, position: int) -> Drawn | TinyintError:
        try:
            return draw(self.items, position, replaced=False)
        except TinyintError as error:
            return error


@dataclass(frozen=True)
class Slices:
    """Positions of this device's part of each batch.

    Batches start, …, stop - 1 of `size`, part `rank` of `world`.

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


def read_batches(
    items: Shuffled | InOrder, slices: Slices, workers: int, check: LabelCheck
) -> Iterator[Batch]:
    """The batches in order, read ahead by `workers` processes. Raises DataError."""
    dataset: Any = items  # torch asks for no more than __getitem__
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=slices,
        num_workers=workers,
        collate_fn=_Collate(check),
        generator=torch.Generator(),  # not torch's own, whose numbers are the network's
        prefetch_factor=4 if workers else None,
    )
    for batch in loader:
        if isinstance(batch, TinyintError):
            raise batch
        if isinstance(items.items, Tolerant):
            items.items.skipped.update(batch.skipped)
        if batch.samples:
            yield batch


@dataclass(frozen=True)
class _Collate:
    check: LabelCheck

    def __call__(self, drawn: list[Drawn | TinyintError]) -> Batch | TinyintError:
        try:
            return self._join(drawn)
        except TinyintError as error:
            return error

    def _join(self, drawn: list[Drawn | TinyintError]) -> Batch:
        read: list[Sample] = []
        skipped: list[tuple[int, str]] = []
        for item in drawn:
            if isinstance(item, TinyintError):
                raise item
            skipped += item.skipped
            if item.sample is not None:
                read.append(item.sample)
        if not read:
            return Batch({}, None, 0, tuple(skipped))
        inputs = {name: torch.from_numpy(array) for name, array in stack(read).items()}
        return Batch(inputs, self._labels(read) if self.check.needed else None, len(read), tuple(skipped))

    def _labels(self, samples: Sequence[Sample]) -> Tensor | list[Boxes]:
        labels = [self.check(sample) for sample in samples]
        boxes = [label for label in labels if isinstance(label, Boxes)]
        if len(boxes) == len(labels):
            return boxes
        arrays = [label for label in labels if isinstance(label, np.ndarray)]
        if len(shapes := {label.shape for label in arrays}) > 1:
            raise DataError(f"the labels of one batch have the shapes {sorted(shapes)}; give them one size")
        return torch.from_numpy(np.stack(arrays))
