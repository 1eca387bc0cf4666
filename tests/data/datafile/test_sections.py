"""Sections whose checksums hold, and that no writer writes all the same."""

import json
from pathlib import Path

import pytest

from tests.data.datafile.build import DECLARED, boxes, source
from tinyint.data.datafile.layout import SECTIONS, Header, Section, Shape
from tinyint.data.datafile.sections import pack_sections, unpack_sections
from tinyint.errors import DataError

PATH = Path("d.bin")


def packed(label=lambda i: i, count=2):
    of = source([Path(f"{i}.png") for i in range(count)], label)
    shape = Shape.of(DECLARED, "uint8", of.label_kind)
    header = Header(shape=shape, samples=count, sections=dict.fromkeys(SECTIONS, Section(0, 0, 0)))
    return header, pack_sections(shape, of.files, DECLARED, of.classes)


def test_labels_by_hand():
    _, sections = packed(lambda i: [3, 2**40][i])
    assert sections["labels"] == bytes([3, *[0] * 7, *[0] * 5, 1, 0, 0])
    assert json.loads(sections["names"]) == ["0.png", "1.png"]
    assert json.loads(sections["description"])["classes"] == ["a", "b", "c"]
    assert len(sections["values"]) == 3 * 256 * 4


@pytest.mark.parametrize(
    ("name", "content", "label", "told"),
    [
        ("names", b'["a"]', int, "1 names of 2 samples"),
        ("names", b'["a", 3]', int, "names of 2 samples"),
        ("names", b"7", int, "no data file"),
        ("names", b"[" * 100_000, int, "no data file"),
        ("names", b"\xff", int, "no data file"),
        ("description", b"[]", int, "no data file"),
        ("description", b'{"classes": null}', int, "no data file"),
        ("description", b'{"classes": [1], "preprocessing": {}}', int, "no data file"),
        ("description", b'{"classes": null, "preprocessing": {"szie": 3}}', int, "'szie'"),
        ("description", b'{"classes": null, "preprocessing": {}}', int, "no data file"),
        ("description", b'{"classes": null, "preprocessing": {"crop": 5}}', int, "of other images"),
        ("labels", bytes(8), int, "1 labels of 2 samples"),
        ("labels", bytes(3), int, "no data file"),
        ("labels", bytes(10), boxes, "no data file"),
        ("labels", bytes(48 + 32), boxes, "1 boxes, but 0 by their images"),
    ],
)
def test_nonsense_is_refused(name, content, label, told):
    header, sections = packed(label)
    with pytest.raises(DataError, match=rf"d\.bin.*{told}"):
        unpack_sections(header, sections | {name: content}, PATH)


def test_names_that_are_no_text_come_back():
    header, _ = packed()
    of = source([Path("a\udcff\n.png"), Path("b.png")])
    sections = pack_sections(header.shape, of.files, DECLARED, None)
    assert unpack_sections(header, sections, PATH).names == ["a\udcff\n.png", "b.png"]
