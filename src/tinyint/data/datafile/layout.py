"""Bytes of a data file (docs/data-file.md), little-endian.

    0      header, 256 bytes
    256    records, one a sample: image, label image, zeros, place, CRC-32
           sections: values, labels, names, description

A record holds its own checksum, so that what a killed writer left can be told from what it had finished. A header of
version 0 is that of an unfinished file; the place of the checksum and all after it are then the identity of its work.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from tinyint.data.labels import LabelKind
from tinyint.data.preprocess import Preprocessing
from tinyint.errors import DataError

__all__ = ["HEADER_BYTES", "MAGIC", "SECTIONS", "Header", "Section", "Shape", "Values", "unfinished_header"]

MAGIC = b"\x89TINY\r\n\x1a"
VERSION = 1
HEADER_BYTES = 256
SECTIONS = ("values", "labels", "names", "description")
Values: TypeAlias = Literal["uint8", "float32"]

_UNFINISHED = 0
_CHECKED = 16  # the header's checksum is of what follows here
_START = struct.Struct("<8sII")
_FACTS = struct.Struct("<QQIIIIIIIIQ")
_SECTION = struct.Struct("<QQII")
_END = struct.Struct("<II")  # of a record: place, CRC-32
_VALUES: tuple[Values | None, ...] = (None, "uint8", "float32")
_LABELS = (None, LabelKind.CLASS, LabelKind.MASK, LabelKind.BOXES)
_LAYOUTS = (None, "NCHW", "NHWC")
_COLORS = (None, "RGB", "BGR", "GRAY")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Form of every record.

    * `values`: "uint8" are pixels (height, width, channels) that still need scale, mean and std; "float32" are values
      as a model takes them, in `layout`
    * `labels`: kind of the labels; label images are in the records
    """

    values: Values
    height: int
    width: int
    channels: int
    layout: str
    color: str
    labels: LabelKind | None

    @classmethod
    def of(cls, preprocessing: Preprocessing, values: Values, labels: LabelKind | None) -> Shape:
        """Form of images of a declared size."""
        size = preprocessing.size()
        assert size is not None
        return cls(
            values=values,
            height=size[0],
            width=size[1],
            channels=preprocessing.channels,
            layout=preprocessing.layout,
            color=preprocessing.color,
            labels=labels,
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.values).newbyteorder("<")

    @property
    def image(self) -> tuple[int, int, int]:
        """Axes of a stored image."""
        pixels = (self.height, self.width, self.channels)
        return pixels if self.values == "uint8" or self.layout == "NHWC" else (self.channels, *pixels[:2])

    @property
    def image_bytes(self) -> int:
        return math.prod(self.image) * self.dtype.itemsize

    @property
    def mask_bytes(self) -> int:
        return self.height * self.width if self.labels is LabelKind.MASK else 0

    @property
    def record_bytes(self) -> int:
        """Image, label image, and eight bytes, which end at a multiple of eight."""
        return -(-(self.image_bytes + self.mask_bytes) // 8) * 8 + _END.size

    def record(self, image: bytes, mask: bytes, place: int) -> bytes:
        """Record of an image, the `place`-th of those listed."""
        body = (image + mask).ljust(self.record_bytes - _END.size, b"\0") + struct.pack("<I", place)
        return body + struct.pack("<I", zlib.crc32(body))

    def place_of(self, record: bytes | memoryview) -> int | None:
        """Place in a whole record; None if it is not what was written."""
        place, checksum = _END.unpack(record[-_END.size :])
        return int(place) if zlib.crc32(record[:-4]) == checksum else None


@dataclass(frozen=True)
class Section:
    """Bytes start, …, start + size - 1 of the file, and their CRC-32."""

    start: int
    size: int
    checksum: int

    @classmethod
    def at(cls, start: int, content: bytes) -> Section:
        return cls(start, len(content), zlib.crc32(content))

    def holds(self, content: bytes) -> bool:
        """Whether it is what was written."""
        return self == Section.at(self.start, content)


@dataclass(frozen=True, kw_only=True)
class Header:
    """First 256 bytes of a finished file."""

    shape: Shape
    samples: int
    sections: dict[str, Section]

    @property
    def file_bytes(self) -> int:
        last = self.sections[SECTIONS[-1]]
        return last.start + last.size

    def pack(self) -> bytes:
        shape = self.shape
        facts = _FACTS.pack(
            self.file_bytes,
            self.samples,
            _VALUES.index(shape.values),
            _LABELS.index(shape.labels),
            shape.height,
            shape.width,
            shape.channels,
            _LAYOUTS.index(shape.layout),
            _COLORS.index(shape.color),
            0,
            shape.record_bytes,
        )
        for name in SECTIONS:
            section = self.sections[name]
            facts += _SECTION.pack(section.start, section.size, section.checksum, 0)
        facts = facts.ljust(HEADER_BYTES - _CHECKED, b"\0")
        return _START.pack(MAGIC, VERSION, zlib.crc32(facts)) + facts

    @classmethod
    def unpack(cls, content: bytes, size: int, path: Path) -> Header:
        """Header of a file of `size` bytes, from its first ones.

        They begin with the magic. Raises DataError with the offset of the fault.
        """
        if len(content) < HEADER_BYTES:
            raise DataError(
                f"{path} is truncated: it ends at byte {size}, within the header of {HEADER_BYTES}"
            )
        _, version, checksum = _START.unpack_from(content)
        if version == _UNFINISHED:
            raise DataError(
                f"{path} is an unfinished data file: run the `tinyint preprocess` that began it again, which goes on "
                "where it stopped"
            )
        if version != VERSION:
            raise DataError(
                f"{path}, byte 8: a data file of version {version}, but this tinyint reads version {VERSION}: "
                "make it anew with `tinyint preprocess`"
            )
        facts = content[_CHECKED:HEADER_BYTES]
        if zlib.crc32(facts) != checksum:
            raise DataError(f"{path} was altered between bytes {_CHECKED} and {HEADER_BYTES - 1}: {_ANEW}")
        (file_bytes, *_) = _FACTS.unpack_from(facts)
        if size != file_bytes:
            what = f"truncated: it ends at byte {size} of" if size < file_bytes else f"{size} bytes long, not"
            raise DataError(f"{path} is {what} {file_bytes}: {_ANEW}")
        try:
            return cls._of(facts)
        except (IndexError, ValueError) as error:
            raise DataError(f"{path} has an impossible header ({error}): {_ANEW}") from None

    @classmethod
    def _of(cls, facts: bytes) -> Header:
        file_bytes, samples, values, labels, height, width, channels, layout, color, _, record = (
            _FACTS.unpack_from(facts)
        )
        found_values, found_layout, found_color = _VALUES[values], _LAYOUTS[layout], _COLORS[color]
        if found_values is None or found_layout is None or found_color is None:
            raise ValueError("without a type, layout or colour")
        shape = Shape(
            values=found_values,
            height=height,
            width=width,
            channels=channels,
            layout=found_layout,
            color=found_color,
            labels=_LABELS[labels],
        )
        sections, end = {}, HEADER_BYTES + samples * record
        for i, name in enumerate(SECTIONS):
            start, length, checksum, _ = _SECTION.unpack_from(facts, _FACTS.size + i * _SECTION.size)
            if start != end:
                raise ValueError(f"{name} begin at {start}, not at {end}")
            sections[name], end = Section(start, length, checksum), start + length
        if min(samples, height, width, channels) < 1 or record != shape.record_bytes or end != file_bytes:
            raise ValueError(f"{samples} samples of {record} bytes, ending at {end}")
        return cls(shape=shape, samples=samples, sections=sections)


_ANEW = "copy it again, or make it anew with `tinyint preprocess`"


def unfinished_header(identity: bytes) -> bytes:
    """Header of an unfinished file; `identity` (32 bytes) is its work's."""
    return _START.pack(MAGIC, _UNFINISHED, 0) + identity.ljust(HEADER_BYTES - _CHECKED, b"\0")
