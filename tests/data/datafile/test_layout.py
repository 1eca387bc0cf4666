"""The bytes of a data file, worked out by hand."""

import struct
import zlib
from pathlib import Path

import pytest

from tinyint.data import LabelKind, Preprocessing
from tinyint.data.datafile.layout import (
    HEADER_BYTES,
    MAGIC,
    SECTIONS,
    Header,
    Section,
    Shape,
    unfinished_header,
)
from tinyint.errors import DataError

PATH = Path("d.bin")
SHAPE = Shape(
    values="uint8", height=2, width=3, channels=3, layout="NCHW", color="BGR", labels=LabelKind.MASK
)


def finished(shape: Shape = SHAPE, samples: int = 2) -> Header:
    """A header of a file whose sections are of 10, 20, 30 and 40 bytes."""
    start, sections = HEADER_BYTES + samples * shape.record_bytes, {}
    for name, size in zip(SECTIONS, (10, 20, 30, 40), strict=True):
        sections[name] = Section(start, size, size + 1)
        start += size
    return Header(shape=shape, samples=samples, sections=sections)


def spoilt(offset: int, value: int, form: str = "<I") -> bytes:
    """The header with another number at `offset`, and a checksum that holds."""
    content = bytearray(finished().pack())
    struct.pack_into(form, content, offset, value)
    struct.pack_into("<I", content, 12, zlib.crc32(content[16:]))
    return bytes(content)


def test_a_record_is_image_label_image_zeros_place_and_checksum():
    assert (SHAPE.image_bytes, SHAPE.mask_bytes, SHAPE.record_bytes) == (18, 6, 32)  # 24 and 8
    record = SHAPE.record(bytes(range(18)), bytes(range(50, 56)), 258)
    assert record[:24] == bytes([*range(18), *range(50, 56)])
    assert record[24:28] == bytes([2, 1, 0, 0])
    assert record[28:] == zlib.crc32(record[:28]).to_bytes(4, "little")
    assert SHAPE.place_of(record) == 258
    assert all(
        SHAPE.place_of(record[:i] + bytes([record[i] ^ 1]) + record[i + 1 :]) is None for i in range(32)
    )


@pytest.mark.parametrize(
    ("values", "labels", "layout", "image", "size"),
    [
        ("uint8", None, "NCHW", (2, 3, 3), 24 + 8),  # 18 bytes, filled up
        ("float32", None, "NCHW", (3, 2, 3), 72 + 8),
        ("float32", LabelKind.CLASS, "NHWC", (2, 3, 3), 72 + 8),
        ("float32", LabelKind.MASK, "NCHW", (3, 2, 3), 80 + 8),  # 78, filled up
    ],
)
def test_forms_of_records(values, labels, layout, image, size):
    shape = Shape(values=values, height=2, width=3, channels=3, layout=layout, color="RGB", labels=labels)
    assert shape.image == image
    assert shape.record_bytes == size


def test_the_form_of_a_declaration():
    declared = Preprocessing(resize=8, crop=(2, 3), layout="NHWC", color="GRAY")
    assert Shape.of(declared, "float32", None) == Shape(
        values="float32", height=2, width=3, channels=1, layout="NHWC", color="GRAY", labels=None
    )


def test_a_header_by_hand():
    content = finished().pack()
    assert len(content) == 256
    assert content[:12] == b"\x89TINY\r\n\x1a" + bytes([1, 0, 0, 0])
    assert struct.unpack_from("<QQIIIIIIIIQ", content, 16) == (
        256 + 64 + 100, 2, 1, 2, 2, 3, 3, 1, 2, 0, 32
    )  # fmt: skip
    assert struct.unpack_from("<QQII", content, 72) == (320, 10, 11, 0)
    assert struct.unpack_from("<QQII", content, 72 + 3 * 24) == (380, 40, 41, 0)
    assert content[168:] == bytes(88)
    assert Header.unpack(content, 420, PATH) == finished()


@pytest.mark.parametrize(
    ("content", "size", "told"),
    [
        (finished().pack()[:100], 100, "truncated: it ends at byte 100, within the header"),
        (finished().pack(), 419, "truncated: it ends at byte 419 of 420"),
        (finished().pack(), 421, "is 421 bytes long, not 420"),
        (unfinished_header(b"x" * 32), 420, "is an unfinished data file: run"),
        (MAGIC + bytes([7, 0, 0, 0]) + finished().pack()[12:], 420, "byte 8: a data file of version 7"),
        (finished().pack()[:99] + b"\xff" + finished().pack()[100:], 420, "altered between bytes 16 and 255"),
        (spoilt(32, 3), 420, "impossible header"),  # type of values
        (spoilt(32, 0), 420, "impossible header"),
        (spoilt(36, 4), 420, "impossible header"),  # labels
        (spoilt(40, 0), 420, "impossible header"),  # height
        (spoilt(44, 4), 420, "impossible header"),  # width
        (spoilt(52, 3), 420, "impossible header"),  # layout
        (spoilt(56, 4), 420, "impossible header"),  # colour
        (spoilt(24, 3, "<Q"), 420, "values begin at 320, not at 352"),
        (spoilt(24, 2**63, "<Q"), 420, "impossible header"),
        (spoilt(72 + 24, 331, "<Q"), 420, "labels begin at 331, not at 330"),
        (spoilt(72 + 3 * 24 + 8, 41, "<Q"), 420, "ending at 421"),
    ],
)  # fmt: skip
def test_headers_that_no_writer_writes(content, size, told):
    with pytest.raises(DataError, match=rf"d\.bin.*{told}"):
        Header.unpack(content, size, PATH)
