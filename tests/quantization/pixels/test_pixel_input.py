"""What is declared of a model that takes pixels, and samples for it."""

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.data import Preprocessing, Sample, TextPreprocessing
from tinyint.data.declared import saved_preprocessing
from tinyint.errors import DataError
from tinyint.metadata import FOLDED
from tinyint.quantization.pixels import PixelInput

MODEL = build("g (float[N,3,9,8] x) => (float[N,6,7,6] y) { y = Conv (x, w) }", w=(6, 3, 3, 3))
IMAGENET = Preprocessing(
    resize=256, crop=(9, 8), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), color="BGR"
)
PIXELS = np.arange(9 * 8 * 3, dtype=np.uint8).reshape(9, 8, 3)


def test_resize_and_crop_are_left_to_do():
    metadata = PixelInput.of(MODEL, IMAGENET).metadata()
    left = saved_preprocessing(metadata)
    assert left == Preprocessing(resize=256, crop=(9, 8), scale=1.0, layout="NHWC", color="RGB")
    assert Preprocessing.from_yaml(metadata[FOLDED]) == IMAGENET


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_samples_go_back_to_their_pixels(layout: str, color: str):
    declared = IMAGENET.changed(layout=layout, color=color)
    image = declared.scaled(PIXELS)[None]
    sample = PixelInput.of(MODEL, declared).sample(Sample({"x": image}, 3, "cat.png"))
    assert (sample.label, sample.name) == (3, "cat.png")
    assert np.array_equal(sample.inputs["x"], PIXELS[None])


def test_all_pixels_of_any_scale_go_back():
    declared = Preprocessing(scale=1.0, mean=(127.0,), std=(128.0,), color="GRAY")
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    given = declared.scaled(pixels)[None]
    assert np.array_equal(PixelInput.of(MODEL, declared).pixels(given), pixels[None])


@pytest.mark.parametrize("value", [0.5, 300.0, -1.0])
def test_values_of_no_pixel_are_refused(value: float):
    given = np.full((1, 3, 2, 2), value, np.float32)
    with pytest.raises(DataError, match="of no pixel"):
        PixelInput.of(MODEL, Preprocessing(scale=1.0)).sample(Sample({"x": given}, None, "x"))


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (None, "none is declared"),
        (Preprocessing(assumed=True), "none is declared"),
        (TextPreprocessing(tokenizer="t.json", max_length=8), "takes texts"),
    ],
)
def test_without_a_declared_preprocessing_of_images(declared: Preprocessing | None, told: str):
    with pytest.raises(DataError, match=told):
        PixelInput.of(MODEL, declared)
