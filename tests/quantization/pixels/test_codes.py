"""Numbers by hand: zero-points, filters, constants, levels."""

import numpy as np
import pytest

from tinyint.data import Preprocessing
from tinyint.quantization.pixels.codes import Filters, PixelCodes, level_of

IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
LITE = Preprocessing(scale=1.0, mean=(127.0,), std=(128.0,))


def test_a_mean_that_is_a_code_is_the_zero_point():
    codes = PixelCodes.of(LITE, symmetric=False, scaled=False)
    assert codes.zero_point == 127
    assert codes.factors.tolist() == [1 / 128] * 3
    assert codes.offsets.tolist() == [0.0, 0.0, 0.0]


def test_of_several_means_the_zero_point_is_the_nearest_to_all():
    codes = PixelCodes.of(IMAGENET, symmetric=False, scaled=False)  # 123.675, 116.28, 103.53: 114.495
    assert codes.zero_point == 114
    assert codes.offsets == pytest.approx([-9.675, -2.28, 10.47])
    assert codes.factors == pytest.approx([1 / 58.395, 1 / 57.12, 1 / 57.375])


def test_symmetric_codes_have_the_middle_one():
    assert PixelCodes.of(LITE, symmetric=True, scaled=False).offsets.tolist() == [1.0, 1.0, 1.0]


def test_with_a_scale_the_weights_are_of_the_networks_size():
    codes = PixelCodes.of(IMAGENET, symmetric=False, scaled=True)  # 1 / 57.6
    assert codes.scale == 1 / 64
    assert codes.factors == pytest.approx([64 / 58.395, 64 / 57.12, 64 / 57.375])
    assert codes.offsets == pytest.approx([-9.675, -2.28, 10.47])
    assert PixelCodes.of(LITE, symmetric=False, scaled=True).factors.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("mean", "zero_point"), [(-0.2, 0), (0.9999, 255), (0.5, 128)])
def test_the_zero_point_is_a_code(mean: float, zero_point: int):
    assert PixelCodes.of(Preprocessing(mean=(mean,)), symmetric=False, scaled=False).zero_point == zero_point


def test_what_float32_rounds_is_no_offset():
    """A mean of 127 / 255, as it is written in a file."""
    codes = PixelCodes.of(Preprocessing(mean=(0.4980392156862745,)), symmetric=False, scaled=False)
    assert codes.offsets.tolist() == [0.0, 0.0, 0.0]


def test_filters_and_their_constants():
    codes = PixelCodes(factors=np.array([2.0, 4.0]), means=np.array([9.0, 13.0]), zero_point=10)
    weight = np.array([[[[1, 2]], [[3, 4]]]], np.float32)  # one filter, two channels, two positions
    filters = Filters.of(weight, 1, codes)
    assert filters.weights.tolist() == [[[[2, 4]], [[12, 16]]]]
    assert filters.constant.tolist() == [[[2 * 1 - 12 * 3, 4 * 1 - 16 * 3]]]  # offsets 1 and -3
    assert filters.growth.tolist() == [-34 - 44]
    assert filters.least_level == 44 / 16
    assert filters.with_level(-4).tolist() == [[[[2, 4]], [[12, 16]], [[8.5, 11]]]]


def test_each_filter_of_a_group_has_the_factors_of_its_channels():
    codes = PixelCodes(factors=np.array([2.0, 3.0, 5.0]), means=np.zeros(3), zero_point=0)
    filters = Filters.of(np.ones((6, 1, 1, 1), np.float32), 3, codes)
    assert filters.weights.reshape(-1).tolist() == [2, 2, 3, 3, 5, 5]


def test_a_dead_filter_asks_for_no_level():
    codes = PixelCodes(factors=np.ones(1), means=np.array([5.0]), zero_point=10)
    assert Filters.of(np.zeros((1, 1, 1, 1), np.float32), 1, codes).least_level == 0.0


@pytest.mark.parametrize(
    ("least", "zero_point", "level"),
    [(10.2, 114, 21), (0.0, 114, 1), (10.2, 200, -21), (200.0, 114, 141), (200.0, 200, -200)],
)
def test_levels_are_codes(least: float, zero_point: int, level: int):
    assert level_of(least, zero_point) == level
    assert 0 <= zero_point + level <= 255
