"""Samples of a data file, from memory that is mapped to it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from tinyint.data.datafile.fit import fitting
from tinyint.data.datafile.layout import HEADER_BYTES, MAGIC, SECTIONS, Header
from tinyint.data.datafile.sections import Contents, unpack_sections
from tinyint.data.image_input import describe_assumption, image_input
from tinyint.data.images import file_identity, joined
from tinyint.data.labels import Boxes, Label, LabelKind
from tinyint.data.preprocess import Preprocessing
from tinyint.data.sample import Sample
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array
from tinyint.runtimes.base import TensorSpec

__all__ = ["DataFileSource", "is_data_file", "open_data_file"]


@dataclass(frozen=True, kw_only=True)
class DataFileSource:
    """Images of a data file for a model input.

    `preprocessing` is what made the images and, of pixels, what is done when they are read.
    A model with a fixed batch of B gets B consecutive images per sample, as of image files.
    """

    path: Path
    header: Header
    contents: Contents
    spec: TensorSpec
    preprocessing: Preprocessing
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        left = self.header.samples % self.group
        if left:
            self.notices.append(
                f"the last {left} images of {self.name} are left out: the model takes exactly {self.group} at a time"
            )
        if self.group > 1 and self.label_kind is LabelKind.BOXES:
            raise DataError(
                f"the model takes exactly {self.group} images at a time, which does not go with the boxes of "
                f"{self.name}: export it with an open batch axis"
            )

    def __getstate__(self) -> dict[str, object]:
        """All but the mapped memory, which another process maps itself."""
        return {key: value for key, value in vars(self).items() if key != "_records"}

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def group(self) -> int:
        """Images in one sample."""
        return (self.spec.shape[0] or 1) if len(self.spec.shape) == 4 else 1

    @property
    def size(self) -> int:
        return self.header.samples // self.group

    @property
    def label_kind(self) -> LabelKind | None:
        return self.header.shape.labels

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.contents.classes

    @cached_property
    def fingerprint(self) -> str:
        text = self.preprocessing.dump() + file_identity(self.path)
        return hashlib.sha256(os.fsencode(text)).hexdigest()

    def read(self, start: int, stop: int | None) -> Generator[Sample | DataError]:
        for number in range(start, self.size if stop is None else min(stop, self.size)):
            yield joined([self._attempt(number * self.group + i) for i in range(self.group)])

    def _attempt(self, index: int) -> Sample | DataError:
        try:
            return self.sample(index)
        except DataError as error:
            return error

    def sample(self, index: int) -> Sample:
        """Image `index` with its label. Raises DataError for an altered one."""
        shape, stored = self.header.shape, self._stored(index)
        if shape.values == "uint8":
            array = self.preprocessing.scaled(stored, self.spec.dtype)
        else:
            array = stored.astype(np.float32)
        batched = array[None] if len(self.spec.shape) == 4 else array
        return Sample({self.spec.name: batched}, self.label(index), self.contents.names[index])

    def label(self, index: int) -> Label | None:
        """Label of image `index`."""
        shape = self.header.shape
        if shape.labels is LabelKind.MASK:
            start = shape.image_bytes
            mask: Array = np.array(self._records[index, start : start + shape.mask_bytes])
            return mask.reshape(shape.height, shape.width)
        return None if self.contents.labels is None else self.contents.labels[index]

    @property
    def has_pictures(self) -> bool:
        """Whether what is stored, a sample each, are pixels."""
        return self.header.shape.values == "uint8" and self.group == 1

    def picture(self, index: int) -> Image.Image:
        """Pixels of image `index`; with boxes, at the size that these are for.

        Raises DataError for an altered one.
        """
        pixels, label = self._stored(index), self.label(index)
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        return image.resize(label.size[::-1]) if isinstance(label, Boxes) else image

    def _stored(self, index: int) -> Array:
        """Axes as `Shape.image`. Raises DataError for an altered record."""
        shape = self.header.shape
        record = memoryview(self._records[index])
        if shape.place_of(record) is None:
            start = HEADER_BYTES + index * shape.record_bytes
            raise DataError(
                f"{self.path} was altered between bytes {start} and {start + shape.record_bytes - 1}, in sample "
                f"{index} ({self.contents.names[index]}): copy it again, or make it anew with `tinyint preprocess`"
            )
        return np.frombuffer(record[: shape.image_bytes], shape.dtype).reshape(shape.image)

    @cached_property
    def _records(self) -> Array:
        """Bytes (samples, record_bytes) of the file."""
        form = (self.header.samples, self.header.shape.record_bytes)
        try:
            return np.memmap(self.path, np.uint8, "r", HEADER_BYTES, form)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {self.path}: {error}") from None


def is_data_file(path: Path) -> bool:
    """Whether a file begins as data files do."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def open_data_file(
    path: Path, inputs: Sequence[TensorSpec], declared: Preprocessing | None
) -> DataFileSource:
    """Source of a data file for a model with these inputs.

    `declared` is the preprocessing that the user or the model gives. Raises DataError, with the offset where the file
    is damaged, and for images of another size or type than the input.
    """
    spec = image_input(inputs, str(path))
    try:
        with path.open("rb") as file:
            header = Header.unpack(file.read(HEADER_BYTES), os.fstat(file.fileno()).st_size, path)
            contents = unpack_sections(header, _sections(file, header, path), path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    preprocessing = fitting(header.shape, contents.preprocessing, declared, spec, path)
    notices = [describe_assumption(preprocessing)] if preprocessing.assumed else []
    return DataFileSource(
        path=path,
        header=header,
        contents=contents,
        spec=spec,
        preprocessing=preprocessing,
        notices=notices,
    )


def _sections(file: IO[bytes], header: Header, path: Path) -> dict[str, bytes]:
    """Content of each section, whose checksum holds."""
    found = {}
    for name in SECTIONS:
        section = header.sections[name]
        file.seek(section.start)
        found[name] = file.read(section.size)
        if not section.holds(found[name]):
            last = section.start + section.size - 1
            raise DataError(
                f"{path} was altered between bytes {section.start} and {last}, in its {name}: copy it again, or make "
                "it anew with `tinyint preprocess`"
            )
    return found
