"""Files that PaddleSlim's converters have written, made here as they write them."""

import struct

import numpy as np
import pytest

from tests.data.build import spec
from tinyint.data import Preprocessing, open_data
from tinyint.errors import DataError

IMAGES = np.random.default_rng(0).standard_normal((5, 3, 4, 4)).astype(np.float32)
LABELS = [3, 1, 4, 1, 5]


def write(path, images=IMAGES, labels=LABELS):
    with path.open("wb") as file:
        file.write(struct.pack("<q", len(images)))
        file.write(images.astype("<f4").tobytes())
        file.write(np.array(labels, "<i8").tobytes())
    return path


@pytest.mark.parametrize(
    "form", [spec(None, 3, 4, 4), spec(None, 3, None, None), spec(1, 3, None, 4), spec(3, 4, 4)]
)
def test_images_and_labels(tmp_path, form):
    data = open_data(write(tmp_path / "old.bin"), [form])
    samples = list(data)
    assert data.len_hint == 5
    assert [sample.label for sample in samples] == LABELS
    np.testing.assert_array_equal(
        np.concatenate([s.inputs["x"].reshape(1, 3, 4, 4) for s in samples]), IMAGES
    )
    assert samples[2].name == "old.bin[2]"
    assert [sample.label for sample in open_data(tmp_path / "old.bin", [form], skip=2, limit=2)] == [4, 1]


def test_a_declared_size_says_what_is_no_square(tmp_path):
    wide = write(tmp_path / "old.bin", IMAGES.reshape(5, 3, 2, 8))
    declared = Preprocessing(resize=(2, 8))
    (first, *_) = open_data(wide, [spec(None, 3, None, None)], declared)
    np.testing.assert_array_equal(first.inputs["x"], IMAGES[:1].reshape(1, 3, 2, 8))


def test_for_another_model(tmp_path):
    write(tmp_path / "old.bin")
    told = r"old\.bin holds 5 images of 48 float32 values each, but input 'x' is float32 \[\?, 3, 8, 8\], with 192"
    with pytest.raises(DataError, match=told):
        open_data(tmp_path / "old.bin", [spec(None, 3, 8, 8)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        struct.pack("<q", 0),
        struct.pack("<q", -1) + bytes(16),
        struct.pack("<q", 2**62) + bytes(16),
        struct.pack("<q", 1) + bytes(8),  # labels alone
        struct.pack("<q", 2) + bytes(2 * (8 + 4) - 1),
        struct.pack("<q", 2) + bytes(2 * (8 + 3)),
    ],
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "d.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"d\.bin is no data file: .* is it truncated\?"):
        open_data(tmp_path / "d.bin", [spec(None, 3, 4, 4)])


def test_a_truncated_one_is_refused(tmp_path):
    whole = write(tmp_path / "old.bin").read_bytes()
    for size in range(0, len(whole), 13):
        (tmp_path / "d.bin").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"d\.bin"):
            open_data(tmp_path / "d.bin", [spec(None, 3, 4, 4)])
