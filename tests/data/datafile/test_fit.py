"""A data file for another model: what can be done when it is read is done, and the rest is refused."""

from pathlib import Path

import pytest

from tests.data.build import spec
from tinyint.data import Preprocessing
from tinyint.data.datafile.fit import fitting
from tinyint.data.datafile.layout import Shape
from tinyint.errors import DataError

MADE = Preprocessing(resize=6, crop=(4, 6), mean=(0.5, 0.25, 0.125), std=(0.5, 0.3, 0.2))
INPUT = spec(None, 3, 4, 6)


def fit(declared, form=INPUT, values="uint8", stored=MADE):
    return fitting(Shape.of(stored, values, None), stored, declared, form, Path("d.bin"))


def test_without_a_declaration_it_is_the_files():
    assert fit(None) == fit(None, values="float32") == MADE


@pytest.mark.parametrize("changes", [{"mean": 0}, {"std": 2}, {"scale": 1}, {"color": "BGR"}])
def test_pixels_are_scaled_as_the_model_declares(changes):
    declared = MADE.changed(**changes)
    assert fit(declared) == declared
    (key,) = changes
    with pytest.raises(DataError, match=rf"d\.bin was made with {key}: .*, but {key}: .* is declared"):
        fit(declared, values="float32")


def test_pixels_are_laid_out_as_the_input_is():
    assert fit(None, spec(None, 4, 6, 3)) == MADE.changed(layout="NHWC")
    assert fit(MADE.changed(layout="NHWC"), spec(None, 4, 6, 3)).layout == "NHWC"
    with pytest.raises(
        DataError, match=r"\[3, 4, 6\] \(NCHW without N\), but input 'x' is float32 \[\?, 4, 6, 3\]"
    ):
        fit(None, spec(None, 4, 6, 3), values="float32")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"resize": 7}, "resize: 6, but resize: 7"),
        ({"resize": (8, 8)}, r"resize: 6, but resize: \[8, 8\]"),
        ({"crop": (4, 5)}, r"crop: \[4, 6\], but crop: \[4, 5\]"),
        ({"interpolation": "bicubic"}, "interpolation: bilinear, but interpolation: bicubic"),
        ({"color": "GRAY", "mean": 0, "std": 1}, "d.bin holds RGB images, but color: GRAY"),
    ],
)
def test_what_pixels_have_gone_through_cannot_be_changed(changes, told):
    with pytest.raises(DataError, match=told + ".*--model MODEL"):
        fit(MADE.changed(**changes))


def test_interpolation_matters_to_a_resize_alone():
    made = MADE.changed(resize=None)
    assert fit(made.changed(interpolation="bicubic"), stored=made).interpolation == "bicubic"


@pytest.mark.parametrize("values", ["uint8", "float32"])
def test_another_size(values):
    with pytest.raises(
        DataError, match=r"images of \[3, 4, 6\].*but input 'x' is float32 \[\?, 3, 8, 8\].*--model"
    ):
        fit(None, spec(None, 3, 8, 8), values=values)


def test_values_for_an_input_of_whole_numbers():
    with pytest.raises(DataError, match=r"holds float32 values, but input 'x' is uint8 .*--dtype uint8"):
        fit(None, spec(None, 3, 4, 6, dtype="uint8"), values="float32")
