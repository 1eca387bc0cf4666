import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tinyint.data.declared import saved_preprocessing
from tinyint.data.preprocess import Preprocessing
from tinyint.errors import DataError

PIXEL = (51, 102, 255)


def _image(size=(2, 3), color=PIXEL):
    return Image.new("RGB", size, color)


def test_scale_comes_before_mean_and_std():
    out = Preprocessing(mean=(0.2, 0.2, 0.5), std=(0.1, 0.2, 0.5)).apply(_image())
    assert out.shape == (3, 3, 2)
    assert out.dtype == np.float32
    # 51/255 = 0.2, 102/255 = 0.4, 255/255 = 1
    np.testing.assert_array_equal(out[:, 0, 0], np.float32([0, 1, 1]))


@pytest.mark.parametrize(
    ("color", "expected"), [("RGB", [51, 102, 255]), ("BGR", [255, 102, 51]), ("GRAY", [104])]
)
def test_color_order(color, expected):
    # ITU-R 601 gray: 0.299·51 + 0.587·102 + 0.114·255 = 104.2
    out = Preprocessing(color=color, scale=1).apply(_image())
    assert out[:, 0, 0].tolist() == expected


def test_mean_follows_the_declared_color_order():
    out = Preprocessing(color="BGR", scale=1, mean=(255, 102, 51)).apply(_image())
    assert not out.any()


def test_layout():
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    first = Preprocessing(scale=1).apply(image)
    last = Preprocessing(scale=1, layout="NHWC").apply(image)
    assert last.flags.c_contiguous
    assert last.shape == (2, 4, 3)
    np.testing.assert_array_equal(first.transpose(1, 2, 0), last)
    np.testing.assert_array_equal(last.ravel(), np.arange(24))


def test_the_shorter_side_is_resized_and_the_centre_cropped():
    columns = np.repeat(np.arange(0, 120, 10, dtype=np.uint8)[None, :, None], 6, 0).repeat(3, 2)
    image = Image.fromarray(columns)  # 12 wide, 6 high, brighter to the right
    assert Preprocessing(resize=3).apply(image).shape == (3, 3, 6)
    assert Preprocessing(resize=(5, 7)).apply(image).shape == (3, 5, 7)
    cropped = Preprocessing(crop=(2, 4), scale=1).apply(image)
    assert cropped[0].tolist() == [[40, 50, 60, 70]] * 2


def test_interpolation():
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("RGB")
    nearest = Preprocessing(resize=(1, 4), interpolation="nearest", scale=1).apply(image)
    assert nearest[0].tolist() == [[0, 0, 255, 255]]
    smooth = Preprocessing(resize=(1, 4), scale=1).apply(image)[0, 0]
    assert 0 < smooth[1] < smooth[2] < 255


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(DataError, match="3×2 when it comes to the crop of 8×8"):
        Preprocessing(crop=(8, 8)).apply(_image())


def test_exif_orientation_is_applied(tmp_path):
    image = Image.fromarray(np.array([[10, 200]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        out = Preprocessing(color="GRAY", scale=1).apply(turned)
    assert out.tolist() == [[[10], [200]]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_all_8_bit_modes_are_read(mode):
    assert Preprocessing().apply(_image().convert(mode)).shape == (3, 3, 2)


def test_a_palette_with_transparency_is_read():
    image = _image().convert("P")
    image.info["transparency"] = b"\x00\xff"
    assert Preprocessing().apply(image).shape == (3, 3, 2)


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_more_than_8_bits_are_refused(mode):
    with pytest.raises(DataError, match="more than 8 bits"):
        Preprocessing().apply(Image.new(mode, (2, 2)))


def test_integer_inputs():
    raw = Preprocessing(scale=1).apply(_image(), np.dtype(np.uint8))
    assert raw.dtype == np.uint8
    assert raw[:, 0, 0].tolist() == list(PIXEL)
    centred = Preprocessing(scale=1, mean=128).apply(_image(), np.dtype(np.int8))
    assert centred[:, 0, 0].tolist() == [51 - 128, 102 - 128, 127]
    with pytest.raises(DataError, match="uint8 images, but the preprocessing gives values from 0 to 1"):
        Preprocessing().apply(_image(), np.dtype(np.uint8))
    with pytest.raises(DataError, match="from -128 to 127"):
        Preprocessing(scale=1, mean=128).apply(_image(), np.dtype(np.uint8))


def test_float16_is_rounded_once():
    out = Preprocessing().apply(_image(), np.dtype(np.float16))
    assert out[0, 0, 0] == np.float16(0.2)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"resise": 4}, "unknown key 'resise': did you mean 'resize'"),
        ({"resize": 0}, "'resize'"),
        ({"resize": True}, "'resize'"),
        ({"crop": [4]}, "'crop'"),
        ({"mean": [0.1, 0.2]}, "mean has 2 values, RGB images have 3 channels"),
        ({"color": "GRAY", "std": [1, 1, 1]}, "GRAY images have 1 channels"),
        ({"std": [0, 1, 1]}, "std must be > 0"),
        ({"scale": 0}, "scale must not be 0"),
        ({"scale": float("nan")}, "'scale'"),
        ({"scale": "1/0"}, "'scale'"),
        ({"mean": [123.675, 116.28, 103.53]}, "outside the scaled pixel range of 1:"),
        ({"resize": 224, "crop": [256, 256]}, "larger than the resized image"),
        ({"resize": [224, 100], "crop": [100, 200]}, "larger than the resized image"),
        ({"color": "rgb"}, "'color'"),
        (["resize"], "must map keys to values, got list"),
    ],
)
def test_wrong_settings_are_named(mapping, message):
    with pytest.raises(DataError, match=message):
        Preprocessing.parse(mapping)


def test_shorthands():
    parsed = Preprocessing.from_yaml("{scale: 1/255, crop: 224, resize: 256, mean: 0.5}")
    assert parsed == Preprocessing(scale=1 / 255, crop=(224, 224), resize=256, mean=(0.5,))


@settings(deadline=None)
@given(
    st.builds(
        Preprocessing,
        resize=st.none() | st.integers(64, 512) | st.tuples(st.integers(64, 512), st.integers(64, 512)),
        crop=st.none() | st.tuples(st.integers(1, 64), st.integers(1, 64)),
        scale=st.floats(1e-4, 2),
        mean=st.tuples(*[st.floats(0, 0.02)] * 3),
        std=st.tuples(*[st.floats(1e-3, 300)] * 3),
        layout=st.sampled_from(["NCHW", "NHWC"]),
        color=st.sampled_from(["RGB", "BGR"]),
        interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos", "box"]),
        assumed=st.booleans(),
    )
)
def test_yaml_and_metadata_round_trips(preprocessing):
    assert Preprocessing.from_yaml(preprocessing.dump()) == preprocessing
    assert saved_preprocessing({"other": "1", **preprocessing.to_metadata()}) == preprocessing


def test_metadata():
    assert saved_preprocessing({"producer": "x"}) is None
    with pytest.raises(DataError, match=r"metadata entry tinyint\.preprocessing"):
        saved_preprocessing({"tinyint.preprocessing": "[1"})


def test_files(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("resize: 256\ncrop: [224, 224]\n")
    assert Preprocessing.load(path).crop == (224, 224)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"p\.yaml"):
        Preprocessing.load(path)
    with pytest.raises(DataError, match="cannot read the preprocessing file"):
        Preprocessing.load(tmp_path / "none.yaml")


@settings(deadline=None)
@given(
    st.text(max_size=60)
    | st.sampled_from(["[" * 1000, "a: 2001-99-99", "&a [*a]", "? {a: 1}\n: 2", "crop: -1"])
)
def test_any_text_gives_a_preprocessing_or_a_data_error(text):
    with contextlib.suppress(DataError):
        Preprocessing.from_yaml(text)
