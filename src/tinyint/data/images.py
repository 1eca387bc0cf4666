"""Samples from image files, which threads decode a few images ahead."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from tinyint.data.labels import LabelKind
from tinyint.data.picture import ImageFile, MaskFile, Picture, read_picture
from tinyint.data.preprocess import Preprocessing
from tinyint.data.sample import Sample
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array
from tinyint.runtimes.base import TensorSpec

__all__ = [
    "ImageFile",
    "ImageSource",
    "file_identity",
    "image_suffixes",
    "is_image_name",
    "joined",
    "read_ahead",
]

_WORKERS = 2
_AHEAD = 4  # images in flight: enough to hide the decoding, few enough for 1024×2048 ones
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Image files for an input [N, C, H, W] or [N, H, W, C].

    N may be missing. For a model with a fixed batch of B, a sample is B consecutive images; a remainder is left out,
    with a notice.
    """

    name: str
    files: Sequence[ImageFile]
    spec: TensorSpec
    preprocessing: Preprocessing
    classes: tuple[str, ...] | None = None
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        left = len(self.files) % self._group
        if left:
            self.notices.append(
                f"the last {left} images of {self.name} are left out: the model takes exactly {self._group} at a time"
            )
        if self.label_kind is LabelKind.BOXES:
            self._check_for_boxes()

    def _check_for_boxes(self) -> None:
        if self.preprocessing.crop is not None:
            raise DataError(
                f"the boxes of {self.name} need whole images, but the preprocessing crops them: leave out `crop` and "
                "declare `resize: [height, width]`"
            )
        if self._group > 1:
            raise DataError(
                f"the model takes exactly {self._group} images at a time, which does not go with the boxes of "
                f"{self.name}: export it with an open batch axis"
            )

    @property
    def _group(self) -> int:
        return (self.spec.shape[0] or 1) if len(self.spec.shape) == 4 else 1

    @property
    def size(self) -> int:
        return len(self.files) // self._group

    @property
    def label_kind(self) -> LabelKind | None:
        label = self.files[0].label
        return LabelKind.MASK if isinstance(label, MaskFile) else LabelKind.of(label)

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.preprocessing.dump().encode())
        for file in self.files:
            digest.update(os.fsencode(file_identity(file.path)))
        return digest.hexdigest()

    def read(self, start: int, stop: int | None) -> Generator[Sample | DataError]:
        files = self.files[start * self._group : (self.size if stop is None else stop) * self._group]
        samples = read_ahead(self._attempt, files)
        try:
            while group := list(itertools.islice(samples, self._group)):
                if len(group) == self._group:
                    yield joined(group)
        finally:
            samples.close()

    def _attempt(self, file: ImageFile) -> Sample | DataError:
        try:
            return self.finish(file, self.place(file, self.picture(file)))
        except DataError as error:
            return error

    def picture(self, file: ImageFile) -> Picture:
        """Image and label at full size. Raises DataError with the file."""
        return read_picture(file, self.preprocessing)

    def place(self, file: ImageFile, picture: Picture) -> Picture:
        """Picture resized and cropped as declared, with its mask.

        Boxes stay those of the whole image.
        """
        try:
            label = picture.label
            if isinstance(label, np.ndarray):
                label = self.preprocessing.place_mask(label)
            return Picture(self.preprocessing.place(picture.image), label)
        except DataError as error:
            raise DataError(f"{file.path}: {error}") from None

    def finish(self, file: ImageFile, picture: Picture) -> Sample:
        """Sample of a picture that `place` returned. Raises DataError with the file."""
        try:
            array = self.preprocessing.pixels(picture.image, self.spec.dtype)
        except DataError as error:
            raise DataError(f"{file.path}: {error}") from None
        batched = array[None] if len(self.spec.shape) == 4 else array
        return Sample({self.spec.name: batched}, picture.label, file.name)


def joined(group: Sequence[Sample | DataError]) -> Sample | DataError:
    """Samples joined for a model with a fixed batch, or the first error."""
    samples: list[Sample] = []
    for sample in group:
        if isinstance(sample, DataError):
            return sample
        samples.append(sample)
    first, *others = samples
    if not others:
        return first
    ((name, array),) = first.inputs.items()
    if any(other.inputs[name].shape != array.shape for other in others):
        sizes = ", ".join(f"{sample.name} {sample.inputs[name].shape[1:]}" for sample in samples)
        return DataError(f"a batch needs images of one size, got {sizes}: declare a resize and a crop")
    labels = [sample.label for sample in samples if sample.label is not None]
    label: Array | None = np.array(labels) if labels else None
    inputs = {name: np.concatenate([sample.inputs[name] for sample in samples])}
    return Sample(inputs, label, f"{first.name} … {others[-1].name}")


def read_ahead(load: Callable[[_T], _R], items: Iterable[_T], workers: int = _WORKERS) -> Generator[_R]:
    """`load(item)` of each item, in order, computed ahead by threads.

    The threads end when the iterator is closed or fails.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="tinyint-data")
    remaining = iter(items)
    ahead = workers * (_AHEAD // _WORKERS)
    try:
        pending: deque[Future[_R]] = deque(pool.submit(load, x) for x in itertools.islice(remaining, ahead))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(load, x) for x in itertools.islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@cache
def image_suffixes() -> frozenset[str]:
    """File name endings of Pillow's readable formats, in lower case."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN)


def is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in image_suffixes()


def file_identity(path: Path) -> str:
    """Path, size and modification time of a file. Raises DataError if it is missing."""
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    return f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}\n"
