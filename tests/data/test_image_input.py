import pytest

from tests.data.build import spec
from tinyint.data.image_input import (
    check_preprocessing,
    describe_assumption,
    image_input,
    infer_preprocessing,
)
from tinyint.data.preprocess import Preprocessing
from tinyint.errors import DataError


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((None, 3, 224, 160), "float32", {"resize": (224, 160), "layout": "NCHW", "color": "RGB"}),
        ((1, 28, 32, 1), "float32", {"resize": (28, 32), "layout": "NHWC", "color": "GRAY"}),
        ((3, 8, 8), "float32", {"resize": (8, 8), "layout": "NCHW"}),
        ((None, 3, None, None), "float32", {"resize": None}),
        ((1, 3, 8, 8), "uint8", {"scale": 1.0, "mean": (0.0,)}),
        ((1, 3, 8, 8), "int8", {"scale": 1.0, "mean": (128.0,)}),
    ],
)
def test_inference_from_the_shape(shape, dtype, expected):
    inferred = infer_preprocessing(spec(*shape, dtype=dtype))
    assert inferred.assumed
    assert {key: getattr(inferred, key) for key in expected} == expected


def test_what_cannot_be_inferred_is_refused():
    with pytest.raises(DataError, match="cannot tell the channels of input 'x'"):
        infer_preprocessing(spec(None, 12, 8, 8))
    with pytest.raises(DataError, match=r"the model has 2 \('x', 'y'\)"):
        image_input([spec(1, 3, 4, 4), spec(1, name="y")], "pictures")
    with pytest.raises(DataError, match=r"not \[N, C, H, W\]"):
        image_input([spec(1, 128)], "pictures")


@pytest.mark.parametrize(
    "settings",
    [{"layout": "NHWC"}, {"color": "GRAY"}, {"resize": (8, 8)}, {"resize": 64, "crop": (32, 31)}],
)
def test_a_preprocessing_that_cannot_fit_is_refused(settings):
    with pytest.raises(DataError, match=r"is float32 \[\?, 3, 32, 32\]"):
        check_preprocessing(Preprocessing(**settings), spec(None, 3, 32, 32))


def test_a_preprocessing_that_may_fit_is_accepted():
    check_preprocessing(Preprocessing(resize=32), spec(None, 3, 32, 32))
    check_preprocessing(Preprocessing(crop=(32, 32)), spec(None, 3, None, None))


def test_the_assumption_is_told():
    text = describe_assumption(infer_preprocessing(spec(1, 3, 8, 9)))
    assert "resized to 8×9, RGB, pixels · 0.00392157" in text
