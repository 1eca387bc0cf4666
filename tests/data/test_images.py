import contextlib
import re
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.build import IMAGE, save_image, spec
from tinyint.data.images import ImageFile, ImageSource, read_ahead
from tinyint.data.picture import read_picture
from tinyint.data.preprocess import Preprocessing
from tinyint.errors import DataError

RAW = Preprocessing(scale=1)


def _source(tmp_path, count, input_spec=IMAGE, labels=True, **preprocessing):
    files = [
        ImageFile(save_image(tmp_path / f"{i}.png", (i, 0, 0)), f"{i}.png", i if labels else None)
        for i in range(count)
    ]
    return ImageSource(
        name="pics", files=files, spec=input_spec, preprocessing=Preprocessing(scale=1, **preprocessing)
    )


def test_samples_in_order_again_and_from_anywhere(tmp_path):
    source = _source(tmp_path, 9)
    for _ in range(2):
        samples = list(source.read(0, None))
        assert [s.label for s in samples] == list(range(9))
        assert [int(s.inputs["x"][0, 0, 0, 0]) for s in samples] == list(range(9))
    assert samples[3].inputs["x"].shape == (1, 3, 4, 4)
    assert samples[3].name == "3.png"
    assert [s.label for s in source.read(4, 6)] == [4, 5]


def test_a_model_without_batch_axis(tmp_path):
    (sample,) = _source(tmp_path, 1, spec(3, 4, 4)).read(0, None)
    assert sample.inputs["x"].shape == (3, 4, 4)


def test_a_fixed_batch_groups_images_and_leaves_a_remainder_out(tmp_path):
    source = _source(tmp_path, 5, spec(2, 3, 4, 4))
    assert source.size == 2
    assert source.notices == ["the last 1 images of pics are left out: the model takes exactly 2 at a time"]
    (sample,) = source.read(1, None)
    assert sample.inputs["x"].shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(sample.label, [2, 3])
    assert sample.name == "2.png … 3.png"
    assert [s.label for s in _source(tmp_path, 2, spec(2, 3, 4, 4), labels=False).read(0, None)] == [None]


def test_a_fixed_batch_of_different_sizes_is_refused(tmp_path):
    source = _source(tmp_path, 2, spec(2, 3, None, None))
    save_image(tmp_path / "1.png", size=(5, 4))
    (error,) = source.read(0, None)
    assert "one size, got 0.png (3, 4, 4), 1.png (3, 4, 5)" in str(error)


def test_a_damaged_image_is_named_and_the_others_are_read(tmp_path):
    source = _source(tmp_path, 3)
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    first, error, last = source.read(0, None)
    assert (first.label, last.label) == (0, 2)
    assert isinstance(error, DataError)
    assert re.match(r"cannot read the image .*1\.png", str(error))
    (tmp_path / "1.png").unlink()
    (error,) = source.read(1, 2)
    assert re.search(r"1\.png.*No such file", str(error))
    with pytest.raises(DataError, match=r"1\.png: No such file"):
        _ = source.fingerprint


def test_an_image_that_does_not_fit_is_named(tmp_path):
    (error,) = _source(tmp_path, 1, crop=(8, 8)).read(0, None)
    assert re.search(r"0\.png: the image is 4×4", str(error))


def test_the_fingerprint_sees_files_and_preprocessing(tmp_path):
    one = _source(tmp_path, 2)
    first = one.fingerprint
    again = ImageSource(name="other", files=one.files, spec=IMAGE, preprocessing=one.preprocessing)
    assert again.fingerprint == first
    assert (
        ImageSource(name="", files=one.files, spec=IMAGE, preprocessing=Preprocessing()).fingerprint != first
    )
    assert ImageSource(name="", files=one.files[:1], spec=IMAGE, preprocessing=RAW).fingerprint != first
    save_image(tmp_path / "1.png", size=(64, 64))
    changed = ImageSource(name="", files=one.files, spec=IMAGE, preprocessing=one.preprocessing)
    assert changed.fingerprint != first


def _workers():
    return [t for t in threading.enumerate() if t.name.startswith("tinyint-data")]


def test_reading_ahead_is_bounded_and_ends_with_the_reader():
    items = iter(range(1000))
    reader = read_ahead(lambda i: i, items)
    assert [next(reader) for _ in range(3)] == [0, 1, 2]
    reader.close()
    assert next(items) == 3 + 4
    assert not _workers()


def test_reading_ahead_passes_errors_on_in_order():
    def load(i):
        if i == 2:
            raise DataError("two")
        return i

    reader = read_ahead(load, range(5))
    assert [next(reader), next(reader)] == [0, 1]
    with pytest.raises(DataError, match="two"):
        next(reader)
    assert not _workers()


def test_an_interrupted_reader_leaves_no_threads(tmp_path):
    reader = _source(tmp_path, 9).read(0, None)
    next(reader)
    with pytest.raises(KeyboardInterrupt):
        reader.throw(KeyboardInterrupt)
    assert not _workers()


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_damage_gives_an_image_or_a_data_error(tmp_path, suffix):
    path = save_image(tmp_path / f"a.{suffix}", size=(9, 7))
    whole = path.read_bytes()

    @settings(deadline=None, max_examples=40, database=None)
    @given(st.integers(0, len(whole) - 1), st.integers(1, 255), st.booleans())
    def damaged(place, flip, cut):
        data = bytearray(whole)
        data[place] ^= flip
        path.write_bytes(data[: place + 1] if cut else data)
        with contextlib.suppress(DataError):
            read_picture(ImageFile(path, path.name), Preprocessing())

    damaged()


@pytest.mark.filterwarnings("ignore:Image size")
def test_an_image_too_large_for_memory_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    Image.new("1", (9500, 9500)).save(tmp_path / "bomb.png")

    def load(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(DataError, match=r"bomb\.png: 9500×9500 are more pixels than are read"):
        read_picture(ImageFile(tmp_path / "bomb.png", "bomb.png"), Preprocessing())
