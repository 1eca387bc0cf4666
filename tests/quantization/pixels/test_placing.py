"""Resize and crop in the graph, beside `Preprocessing.place`: sizes, places, and values on the runtimes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.build import build, run
from tinyint.data import Preprocessing
from tinyint.errors import DataError
from tinyint.graph.prepare import prepare
from tinyint.quantization.pixels.fold import folded
from tinyint.targets import Target, get_target

X86 = get_target("x86-vnni")


def network(sides: str = "H,W", channels: int = 3, opset: int = 17) -> ir.Model:
    """One that gives its image back."""
    same = np.eye(channels, dtype=np.float32).reshape(channels, channels, 1, 1)
    axes = f"N,{channels},{sides}"
    return prepare(
        build(f"g (float[{axes}] x) => (float[{axes}] y) {{ y = Conv (x, w) }}", opset=opset, w=same)
    )


def declared(**keys: object) -> Preprocessing:
    return Preprocessing.parse({"scale": 1.0, **keys})


def placing(preprocessing: Preprocessing, target: Target = X86, **network_of: object) -> ir.Model:
    return folded(network(**network_of), preprocessing, target, resize=True).model  # type: ignore[arg-type]


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, channels), dtype=np.uint8)


def both(model: ir.Model, preprocessing: Preprocessing, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels by Pillow, and by the graph."""
    return preprocessing.place_pixels(image).astype(int), run(model, {"x": image[None]})[0][0].transpose(
        1, 2, 0
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("height", "width"), [(75, 100), (100, 75), (40, 56), (33, 130), (65, 64), (48, 48), (1, 2)]
)
def test_as_pillow(interpolation: str, height: int, width: int):
    preprocessing = declared(resize=48, crop=[40, 44], interpolation=interpolation)
    expected, found = both(placing(preprocessing), preprocessing, noise(height, width))
    assert found.shape == (40, 44, 3)
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.06


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    resize=st.one_of(st.integers(1, 60), st.tuples(st.integers(1, 60), st.integers(1, 60))),
)
def test_any_size_becomes_that_of_pillow(size: tuple[int, int], resize: object):
    """Bilinear: whichever pass Pillow chooses to come first, either is off by at most 1 from the unrounded value."""
    preprocessing = declared(resize=resize)
    expected, found = both(placing(preprocessing), preprocessing, noise(*size))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 19), (18, 21), (23, 22)])
def test_the_crop_starts_where_pillows_does(height: int, width: int):
    """Of margins 1, 3, 5 and 7, half is rounded to even: to 0, 2, 2 and 4."""
    preprocessing = declared(crop=16)
    expected, found = both(placing(preprocessing), preprocessing, noise(height, width))
    assert np.array_equal(found, expected)


def test_gray_images_of_one_batch():
    preprocessing = declared(resize=[9, 8], color="GRAY")
    images = np.stack([noise(20, 31, 1), noise(31, 20, 1).reshape(20, 31, 1)])
    found = run(placing(preprocessing, channels=1), {"x": images})[0].transpose(0, 2, 3, 1)
    expected = np.stack([preprocessing.place_pixels(image) for image in images])
    assert np.abs(found - expected).max() <= 1


def test_the_network_knows_its_sizes():
    (taken,) = (model := placing(declared(resize=20, crop=16))).graph.inputs
    assert taken.shape == ir.Shape(["N", "image_height", "image_width", 3])
    assert model.graph.outputs[0].shape == ir.Shape(["N", 3, 16, 16])
    assert model.opset_imports[""] == 18


def test_a_later_operator_set_stays():
    assert placing(declared(resize=20, crop=16), opset=21).opset_imports[""] == 21


def test_an_image_that_is_smaller_than_the_crop_fails():
    with pytest.raises(Exception, match="cannot be reshaped"):
        run(placing(declared(crop=16)), {"x": noise(15, 20)[None]})


@pytest.mark.parametrize(
    ("keys", "target", "told"),
    [
        ({}, "x86-vnni", "neither resize nor crop is declared"),
        ({"resize": 8}, "openvino-avx2", "openvino-avx2 has no operators that resize and crop bytes"),
        (
            {"resize": 8, "interpolation": "lanczos"},
            "arm64",
            "only by bicubic or bilinear or nearest, and lanczos",
        ),
        ({"resize": 8, "interpolation": "box"}, "x86-avx2", "and box is declared"),
        ({"resize": [8, 9]}, "tensorrt", "tensorrt has no operators that resize and crop bytes"),
    ],
)
def test_what_a_target_cannot_do_is_refused(keys: dict[str, object], target: str, told: str):
    with pytest.raises(DataError, match="use --fold-preprocessing") as error:
        placing(declared(**keys), get_target(target))
    assert told in str(error.value)


def test_a_size_that_the_network_does_not_take_is_refused():
    with pytest.raises(DataError, match="they make images of 9×8, but the model takes 16×16"):
        placing(declared(resize=[9, 8]), sides="16,16")
