"""What stands for a histogram, by hand."""

import numpy as np
import pytest

from tinyint.quantization.ranges.bins import first_bin, points

EVERYWHERE = (-100.0, 100.0)


def points_of(first: int, counts: list[int], *, width: float = 1.0, outer=EVERYWHERE, most: int = 99):
    edges = np.arange(first, first + len(counts) + 1) * width
    values, weights = points(edges, np.array(counts), outer, most)
    return values.tolist(), weights.tolist()


def test_bins_are_numbered_from_zero():
    assert first_bin(np.array([0.0, 0.5, 1.0])) == 0
    assert first_bin(np.array([-1.5, -1.0])) == -3
    assert first_bin(np.array([3.0, 3.5])) == 6


def test_values_stand_at_golden_offsets_in_occupied_bins():
    # 2 · 0.618 = 1.236, 3 · 0.618 = 1.854, and -2 · 0.618 = -1.236, whose fraction is 0.764
    values, weights = points_of(-2, [4, 0, 5, 0, 2, 1])
    assert values == pytest.approx([-1.236068, 0.0, 2.236068, 3.854102], abs=1e-6)
    assert weights == [4, 5, 2, 1]
    assert points_of(-1, [3, 1])[0] == pytest.approx([-0.618034, 0.0], abs=1e-6)
    values, _ = points_of(-2, [4, 0, 5, 0, 2, 1], width=0.25)
    assert values == pytest.approx([-0.309017, 0.0, 0.559017, 0.9635255], abs=1e-6)


def test_no_value_is_beyond_the_extrema():
    values, _ = points_of(-2, [4, 0, 5, 0, 2, 1], outer=(-1.125, 3.5))
    assert values == pytest.approx([-1.125, 0.0, 2.236068, 3.5])


def test_neighbours_are_joined_until_there_are_few_enough():
    # bins 0 to 3 by twos: (1·0 + 3·1.618034) / 4 and (2·2.236068 + 1·3.854102) / 3
    values, weights = points_of(0, [1, 3, 2, 1], most=2)
    assert values == pytest.approx([1.2135255, 2.775413], abs=1e-6)
    assert weights == [4, 3]
    assert points_of(0, [1, 3, 2, 1], most=4)[1] == [1, 3, 2, 1]
    assert points_of(0, [1, 3, 2, 1], most=3)[1] == [4, 3]
    assert points_of(0, [1, 3, 2, 1], most=1)[1] == [7]
    assert points_of(-2, [1, 3, 2, 1], most=2)[1] == [4, 3]  # zero stays between two groups
