"""Samples from image files, decoded a few ahead of the reader in two threads."""

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

from tinyint.data.preprocess import Preprocessing
from tinyint.data.sample import Sample
from tinyint.errors import DataError
from tinyint.numerics import Array
from tinyint.runtimes.base import TensorSpec

_WORKERS = 2
_AHEAD = 4  # images in flight: enough to hide the decoding, few enough for 1024×2048 ones
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class ImageFile:
    """An image on disk; `name` is its path as the user knows it (within the folder, or in the list)."""

    path: Path
    name: str
    label: int | None = None


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Image files for a model input of shape [N, C, H, W], [N, H, W, C], or either without N.

    A model with a fixed batch of B gets B consecutive images per sample; a remainder is left out, with a notice.
    """

    name: str
    files: Sequence[ImageFile]
    spec: TensorSpec
    preprocessing: Preprocessing
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        left = len(self.files) % self._group
        if left:
            self.notices.append(
                f"the last {left} images of {self.name} are left out: the model takes exactly {self._group} at a time"
            )

    @property
    def _group(self) -> int:
        return (self.spec.shape[0] or 1) if len(self.spec.shape) == 4 else 1

    @property
    def size(self) -> int:
        return len(self.files) // self._group

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.preprocessing.dump().encode())
        for file in self.files:
            digest.update(file_identity(file.path).encode())
        return digest.hexdigest()

    def read(self, start: int, stop: int | None) -> Generator[Sample]:
        files = self.files[start * self._group : (self.size if stop is None else stop) * self._group]
        images = read_ahead(self._load, files)
        try:
            while group := list(itertools.islice(images, self._group)):
                if len(group) == self._group:
                    yield self._sample(group)
        finally:
            images.close()

    def _load(self, file: ImageFile) -> tuple[ImageFile, Array]:
        return file, load_image(file.path, self.preprocessing, self.spec.dtype)

    def _sample(self, group: Sequence[tuple[ImageFile, Array]]) -> Sample:
        (first, array), *others = group
        if others:
            if any(other.shape != array.shape for _, other in others):
                sizes = ", ".join(f"{file.name} {image.shape}" for file, image in group)
                raise DataError(f"a batch needs images of one size, got {sizes}: declare a resize and a crop")
            array = np.stack([image for _, image in group])
            labels = [file.label for file, _ in group if file.label is not None]
            label = np.array(labels) if labels else None
            return Sample({self.spec.name: array}, label, f"{first.name} … {others[-1][0].name}")
        batched = array[None] if len(self.spec.shape) == 4 else array
        return Sample({self.spec.name: batched}, first.label, first.name)


def load_image(path: Path, preprocessing: Preprocessing, dtype: np.dtype[np.generic]) -> Array:
    """The preprocessed image. Raises DataError naming the file when it cannot be read or does not fit."""
    try:
        with Image.open(path) as image:
            image.load()
            return preprocessing.apply(image, dtype)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (
        Exception
    ) as error:  # a damaged file raises whatever its decoder does: OSError, SyntaxError, struct.error, …
        raise DataError(f"cannot read the image {path}: {type(error).__name__}: {error}") from None


def read_ahead(load: Callable[[_T], _R], items: Iterable[_T]) -> Generator[_R]:
    """`load` of each item, in order, computed ahead by threads; they end when the iterator is closed or fails."""
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="tinyint-data")
    remaining = iter(items)
    try:
        pending: deque[Future[_R]] = deque(pool.submit(load, x) for x in itertools.islice(remaining, _AHEAD))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(load, x) for x in itertools.islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@cache
def image_suffixes() -> frozenset[str]:
    """The file name endings of every format that Pillow can read here, in lower case."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN)


def is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in image_suffixes()


def file_identity(path: Path) -> str:
    """Path, size and modification time of a file. Raises DataError when it is gone."""
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    return f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}\n"
