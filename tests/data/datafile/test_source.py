"""Samples of a data file are those of its images, to the bit; a damaged one is refused."""

import numpy as np
import pytest

from tests.data.build import spec
from tests.data.datafile.build import (
    DECLARED,
    assert_same,
    boxes,
    header,
    images,
    masks,
    source,
    write,
)
from tinyint.data import LabelKind, Preprocessing, open_data
from tinyint.data.datafile.layout import HEADER_BYTES, SECTIONS
from tinyint.data.datafile.source import is_data_file, open_data_file
from tinyint.data.image_input import infer_preprocessing
from tinyint.data.images import ImageSource
from tinyint.errors import DataError


@pytest.mark.parametrize("values", ["uint8", "float32"])
@pytest.mark.parametrize(
    "declared",
    [
        DECLARED,
        Preprocessing(resize=6, crop=4, color="BGR", interpolation="bicubic", mean=0.5, std=(0.1, 0.2, 0.3)),
        Preprocessing(resize=(4, 6), layout="NHWC", scale=1, mean=(3.5, 2, 1)),
        Preprocessing(crop=(5, 3), color="GRAY", mean=0.1),
    ],
    ids=["RGB", "BGR cropped", "NHWC", "GRAY"],
)
def test_samples_to_the_bit(tmp_path, values, declared):
    of = source(images(tmp_path / "in", 5), preprocessing=declared)
    write(of, tmp_path / "d.bin", values)
    found = open_data_file(tmp_path / "d.bin", [of.spec], None)
    assert found.preprocessing == declared
    assert found.size == 5
    assert found.classes == ("a", "b", "c")
    assert found.label_kind is LabelKind.CLASS
    for got, wanted in zip(found.read(0, None), of.read(0, None), strict=True):
        assert_same(got, wanted)
    assert [sample.label for sample in found.read(3, 9)] == [0, 1]


@pytest.mark.parametrize("values", ["uint8", "float32"])
@pytest.mark.parametrize("kind", ["none", "masks", "boxes"])
def test_every_kind_of_label(tmp_path, values, kind):
    label = {"none": lambda _: None, "boxes": boxes, "masks": None}[kind] or masks(tmp_path / "masks", 4)
    of = source(images(tmp_path / "in", 4), label, classes=None)
    write(of, tmp_path / "d.bin", values)
    found = open_data_file(tmp_path / "d.bin", [of.spec], None)
    assert found.label_kind is of.label_kind
    assert found.classes is None
    for got, wanted in zip(found.read(0, None), of.read(0, None), strict=True):
        assert_same(got, wanted)


@pytest.mark.parametrize(
    "form",
    [spec(None, 3, 4, 6), spec(3, 4, 6), spec(2, 3, 4, 6), spec(None, 3, 4, None, dtype="float64"), spec(1, 3, 4, 6)],
    ids=str,
)  # fmt: skip
def test_forms_of_inputs(tmp_path, form):
    of = source(images(tmp_path / "in", 5))
    write(of, tmp_path / "d.bin")
    found = open_data_file(tmp_path / "d.bin", [form], None)
    wanted = ImageSource(name=found.name, files=of.files, spec=form, preprocessing=DECLARED)
    assert found.notices == wanted.notices
    assert found.size == wanted.size
    for got, sample in zip(found.read(0, None), wanted.read(0, None), strict=True):
        assert_same(got, sample)


def test_pixels_for_inputs_of_whole_numbers(tmp_path):
    form = spec(None, 3, 4, 6, dtype="int8")
    declared = infer_preprocessing(form)
    assert declared.assumed
    of = source(images(tmp_path / "in", 2), preprocessing=declared.changed(scale=1 / 255, mean=0))
    write(of, tmp_path / "d.bin")
    found = open_data_file(tmp_path / "d.bin", [form], None)
    assert "no preprocessing was declared" in found.notices[0]
    wanted = ImageSource(name="pics", files=of.files, spec=form, preprocessing=declared)
    for got, sample in zip(found.read(0, None), wanted.read(0, None), strict=True):
        assert_same(got, sample)


def test_boxes_and_a_fixed_batch(tmp_path):
    write(source(images(tmp_path / "in", 2), boxes), tmp_path / "d.bin")
    with pytest.raises(DataError, match=r"2 images at a time, which does not go with the boxes of .*d\.bin"):
        open_data_file(tmp_path / "d.bin", [spec(2, 3, 4, 6)], None)


def test_pictures_are_the_pixels_at_the_size_of_their_boxes(tmp_path):
    of = source(images(tmp_path / "in", 2), boxes)
    write(of, tmp_path / "d.bin")
    found = open_data_file(tmp_path / "d.bin", [of.spec], None)
    assert found.has_pictures
    assert found.picture(1).size == (9, 7)
    write(source(images(tmp_path / "in", 2)), tmp_path / "d.bin")
    found = open_data_file(tmp_path / "d.bin", [of.spec], None)
    np.testing.assert_array_equal(
        DECLARED.pixels(found.picture(1)), next(of.read(1, None)).inputs["x"][0], strict=True
    )


def test_as_any_other_data(tmp_path):
    of = source(images(tmp_path / "in", 4))
    write(of, tmp_path / "d.bin")
    data = open_data(tmp_path / "d.bin", [of.spec], limit=2, skip=1)
    assert data.len_hint == 2
    assert data.preprocessing == DECLARED
    assert [sample.name for sample in data] == ["1.png", "2.png"]
    other = open_data(tmp_path / "d.bin", [of.spec], DECLARED.changed(mean=0), limit=2, skip=1)
    assert data.fingerprint != other.fingerprint  # what is done when it is read matters
    (tmp_path / "renamed").write_bytes((tmp_path / "d.bin").read_bytes())
    assert open_data(tmp_path / "renamed", [of.spec]).len_hint == 4  # it is known by its first bytes


def test_every_byte_counts(tmp_path):
    """Whatever byte is altered, and wherever the file is cut, it is refused, with the place."""
    of = source(images(tmp_path / "in", 3), masks(tmp_path / "masks", 3))
    path = tmp_path / "d.bin"
    write(of, path)
    whole, facts = path.read_bytes(), header(path)
    records = HEADER_BYTES + 3 * facts.shape.record_bytes
    assert is_data_file(path)
    places = [*range(records), *range(records, len(whole), 19), len(whole) - 1]
    for i in places:
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x10]) + whole[i + 1 :])
        with pytest.raises(DataError, match=r"d\.bin") as error:
            list(open_data(path, [of.spec]))
        within = [each for each in facts.sections.values() if each.start <= i < each.start + each.size]
        if i >= HEADER_BYTES:
            start, size = (
                (within[0].start, within[0].size)
                if within
                else (i - (i - HEADER_BYTES) % facts.shape.record_bytes, facts.shape.record_bytes)
            )
            assert f"altered between bytes {start} and {start + size - 1}, in" in str(error.value)
    for size in [*range(0, records, 7), *range(records, len(whole), 101), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"d\.bin"):
            open_data(path, [of.spec])
    path.write_bytes(whole + b"\0")
    with pytest.raises(DataError, match=f"{len(whole) + 1} bytes long, not {len(whole)}"):
        open_data(path, [of.spec])


def test_an_altered_sample_can_be_skipped(tmp_path):
    of = source(images(tmp_path / "in", 3))
    path = tmp_path / "d.bin"
    write(of, path)
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + header(path).shape.record_bytes] ^= 1
    path.write_bytes(content)
    data = open_data(path, [of.spec], on_error="skip")
    assert [sample.name for sample in data] == ["0.png", "2.png"]
    assert "in sample 1 (1.png)" in data.notices[-1]


def test_the_table_of_values_is_what_readers_need(tmp_path):
    """The recipe of docs/data-file.md, without this package's reader."""
    of = source(images(tmp_path / "in", 2))
    write(of, tmp_path / "d.bin")
    content = (tmp_path / "d.bin").read_bytes()
    facts = header(tmp_path / "d.bin")
    section = facts.sections[SECTIONS[0]]
    table = np.frombuffer(content, "<f4", offset=section.start, count=3 * 256).reshape(3, 256)
    pixels = np.frombuffer(content, np.uint8, offset=HEADER_BYTES, count=4 * 6 * 3).reshape(4, 6, 3)
    values = np.stack([table[c][pixels[..., c]] for c in range(3)])
    (wanted,) = of.read(0, 1)
    np.testing.assert_array_equal(values, wanted.inputs["x"][0], strict=True)


def test_one_input_of_images_is_needed(tmp_path):
    write(source(images(tmp_path / "in", 2)), tmp_path / "d.bin")
    with pytest.raises(DataError, match=r"d\.bin holds images, which feed one input; the model has 2"):
        open_data(tmp_path / "d.bin", [spec(None, 3, 4, 6), spec(1, name="y")])
    with pytest.raises(DataError, match=r"not \[N, C, H, W\]"):
        open_data(tmp_path / "d.bin", [spec(None, 3)])
