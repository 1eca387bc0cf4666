"""Random access to samples by number, in any process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from tinyint.data import Declaration, OnError, Sample, open_data
from tinyint.data.datafile.source import DataFileSource
from tinyint.data.images import ImageSource
from tinyint.data.open import CheckedDataset, describe_skipped
from tinyint.data.sample import Source
from tinyint.data.texts import TextSource
from tinyint.errors import DataError
from tinyint.runtimes.base import TensorSpec
from tinyint.tasks import Task, require_labels
from tinyint.train.augment import augment, check_augmentation
from tinyint.train.config import Augmentation
from tinyint.train.picture import PictureAugmenter

__all__ = ["AugmentedItems", "Drawn", "Items", "Opened", "Tolerant", "draw", "open_items"]


class Items(Protocol):
    """Samples by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class AugmentedItems(Protocol):
    """Items that augment themselves, being more than arrays."""

    def augmented(
        self, index: int, options: Augmentation, generator: np.random.Generator, ignored: int
    ) -> Sample: ...


@dataclass(frozen=True, eq=False)
class _ImageItems:
    """Image files, read when they are asked for."""

    source: ImageSource

    def __len__(self) -> int:
        return len(self.source.files)

    def __getitem__(self, index: int) -> Sample:
        source, file = self.source, self.source.files[index]
        return source.finish(file, source.place(file, source.picture(file)))

    def augmented(
        self, index: int, options: Augmentation, generator: np.random.Generator, ignored: int
    ) -> Sample:
        source, file = self.source, self.source.files[index]
        change = PictureAugmenter(options, source.preprocessing, _size(source), ignored)
        sample = source.finish(file, change(source.picture(file), generator))
        return augment(sample, options, generator, source.preprocessing.layout)


@dataclass(frozen=True, eq=False)
class _RecordItems:
    """Images of a data file, read when they are asked for."""

    source: DataFileSource

    def __len__(self) -> int:
        return self.source.size

    def __getitem__(self, index: int) -> Sample:
        return self.source.sample(index)


@dataclass(frozen=True, eq=False)
class _TextItems:
    """Rows of a table, tokenized when they are asked for."""

    source: TextSource

    def __len__(self) -> int:
        return len(self.source.rows)

    def __getitem__(self, index: int) -> Sample:
        return self.source.sample(self.source.rows[index])


@dataclass(frozen=True)
class Drawn:
    """Sample at a position, or nothing, and unreadable ones with reasons."""

    sample: Sample | None
    skipped: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Tolerant:
    """Items, some unreadable, replaced by the next readable one.

    `skipped` maps the number of each unreadable item to its error.
    """

    items: Items
    skipped: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        drawn = self.draw(index, self.items.__getitem__, replaced=True)
        self.skipped.update(drawn.skipped)
        assert drawn.sample is not None
        return drawn.sample

    def draw(self, index: int, read: Callable[[int], Sample], *, replaced: bool) -> Drawn:
        """Result of `read` on the item, or on its replacement.

        Raises DataError when no item at all can be read.
        """
        count = len(self.items)
        met: list[tuple[int, str]] = []
        for number in (*range(index, count), *range(index)):
            try:
                return Drawn(read(number), tuple(met))
            except DataError as error:
                met.append((number, str(error)))
            if not replaced:
                return Drawn(None, tuple(met))
        raise DataError(f"no sample can be read; the first: {met[0][1]}")

    def notice(self) -> str:
        """Sentence with the number of skipped items; empty if none."""
        return describe_skipped([self.skipped[n] for n in sorted(self.skipped)]) if self.skipped else ""


def draw(items: Items, index: int, *, replaced: bool, change: Callable[[int], Sample] | None = None) -> Drawn:
    """Item, read by `change` if given.

    Raises DataError, unless the items are `Tolerant`.
    """
    read = change or (items.items if isinstance(items, Tolerant) else items).__getitem__
    return items.draw(index, read, replaced=replaced) if isinstance(items, Tolerant) else Drawn(read(index))


@dataclass(frozen=True, eq=False)
class Opened:
    """Samples, notes for the user, file conversion, and class names if known."""

    items: Items
    notices: tuple[str, ...]
    preprocessing: Declaration | None
    classes: tuple[str, ...] | None


def open_items(
    spec: str,
    inputs: Sequence[TensorSpec],
    preprocessing: Declaration | None,
    *,
    task: Task | None = None,
    augmentation: Augmentation | None = None,
    on_error: OnError = "stop",
) -> Opened:
    """The samples that `spec` names.

    Image files, data files and texts are read when they are needed; arrays and what a function yields are read once and
    kept in memory. With `on_error="skip"`, files that cannot be read are left out. Raises DataError, also where labels
    are not for the `task`, or the augmentation does not go with the data.
    """
    dataset = open_data(spec, inputs, preprocessing, on_error=on_error)
    assert isinstance(dataset, CheckedDataset)
    source, found = dataset.source, dataset.label_kind
    if task is not None:
        require_labels(found, task, source.name)
    kind = _kind(source, inputs)
    options = augmentation or Augmentation()
    check_augmentation(options, found, kind, source.name)
    items: Items
    if isinstance(source, ImageSource) and kind == "images":
        if inputs[0].shape[0] is not None and inputs[0].shape[0] > 1:
            raise DataError(
                f"the model takes exactly {inputs[0].shape[0]} images at a time; export it with an open batch axis"
            )
        PictureAugmenter(options, source.preprocessing, _size(source), 0)
        items = _ImageItems(source)
    elif isinstance(source, TextSource):
        items = _TextItems(source)
    elif isinstance(source, DataFileSource) and source.group == 1:
        items = _RecordItems(source)
    else:
        items = list(dataset)
    if on_error == "skip" and not isinstance(items, list):
        items = Tolerant(items)
        _ = items[0]  # one at least can be read
    return Opened(items, dataset.notices, dataset.preprocessing, dataset.classes)


def _kind(source: Source, inputs: Sequence[TensorSpec]) -> Literal["images", "texts", "arrays"]:
    if isinstance(source, ImageSource) and len(inputs[0].shape) == 4:
        return "images"
    return "texts" if isinstance(source, TextSource) else "arrays"


def _size(source: ImageSource) -> tuple[int, int] | None:
    """(width, height) of every picture that is in place, or None when it depends on the image."""
    height, width = source.preprocessing.size() or source.spec.shape[-2:]
    if source.preprocessing.size() is None and source.preprocessing.layout == "NHWC":
        height, width = source.spec.shape[-3:-1]
    return None if height is None or width is None else (width, height)
