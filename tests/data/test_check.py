import numpy as np
import pytest

from tests.data.build import spec
from tinyint.data.check import check_sample
from tinyint.data.sample import Sample
from tinyint.errors import DataError


def _check(array, input_spec, told=None):
    tell = [].append if told is None else told.append
    return check_sample(Sample({"x": array}, 3, "cat.png"), [input_spec], tell).inputs["x"]


def test_what_fits_is_passed_as_it_is():
    x = np.zeros((1, 2), np.float32)
    told = []
    assert _check(x, spec(None, 2), told) is x
    assert told == []


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ("float64", "float32"),
        ("float16", "float32"),
        ("float32", "float16"),
        ("int32", "int64"),
        ("int64", "uint8"),
    ],
)
def test_safe_conversions_are_made_and_told(have, want):
    told = []
    out = _check(np.array([1, 2], have), spec(2, dtype=want), told)
    assert out.dtype == want
    assert out.tolist() == [1, 2]
    assert told == [f"input 'x': {have} samples are converted to the model's {want}"]


def test_byte_order_is_converted_without_a_word():
    told = []
    assert _check(np.array([1, 2], ">f4"), spec(2), told).tolist() == [1, 2]
    assert told == []


@pytest.mark.parametrize(
    ("array", "input_spec", "message"),
    [
        (np.zeros(2, np.uint8), spec(2), "type uint8; the model takes float32 .*scaled as in training"),
        (np.zeros(2, bool), spec(2), "type bool"),
        (np.zeros(2, np.float32), spec(2, dtype="int64"), "convert the samples to int64"),
        (np.zeros(2, np.int8), spec(2, dtype="bool"), "convert the samples to bool"),
        (np.array([1e6, 1], np.float32), spec(2, dtype="float16"), "1e\\+06 is out of the range"),
        (np.array([1e300, 1]), spec(2), "1e\\+300 is out of the range"),
        (np.array([-1, 300]), spec(2, dtype="uint8"), "-1 to 300 are out of the range"),
        (np.zeros((1, 0), np.float32), spec(1, None), "is empty"),
        (np.zeros((1, 3), np.float32), spec(None, 4), r"shape \(1, 3\); expected float32 \[\?, 4\]"),
        (np.zeros(4, np.float32), spec(None, 4), r"shape \(4,\)"),
        (np.zeros((1, 8, 9, 3), np.float32), spec(1, 3, 8, 9), r"would fit after transpose\(0, 3, 1, 2\)"),
        (np.zeros((1, 3, 8, 9), np.float32), spec(1, 8, 9, 3), r"would fit after transpose\(0, 2, 3, 1\)"),
        (np.array([[0, np.nan]], np.float32), spec(1, 2), r"1 of 2 values are NaN .*first, nan, at \[0, 1\]"),
        (np.array([[-np.inf, np.nan]], np.float32), spec(1, 2), r"2 of 2 .*first, -inf, at \[0, 0\]"),
    ],
)
def test_faults_name_sample_and_input(array, input_spec, message):
    with pytest.raises(DataError, match=f"^cat.png, input 'x': .*{message}"):
        _check(array, input_spec)


def test_a_missing_input_is_named_with_the_nearest():
    with pytest.raises(DataError, match=r"cat\.png has no input 'image'.*did you mean 'imagee'"):
        check_sample(Sample({"imagee": np.zeros(2)}, None, "cat.png"), [spec(2, name="image")], print)


def test_the_result_is_contiguous_and_keeps_the_label():
    sample = check_sample(Sample({"x": np.zeros((4, 2), np.float32).T}, 3, "s"), [spec(2, 4)], print)
    assert sample.inputs["x"].flags.c_contiguous
    assert (sample.label, sample.name) == (3, "s")
