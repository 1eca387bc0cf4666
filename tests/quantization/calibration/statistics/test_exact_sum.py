from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyint.quantization.calibration.statistics.exact_sum import ExactSum

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
terms = st.lists(hnp.arrays(np.float32, 3, elements=floats), max_size=8)


def summed(arrays) -> ExactSum:
    total = ExactSum()
    for array in arrays:
        total.add(array)
    return total


def whole(total: ExactSum, place: int = 0) -> Fraction:
    """One of the sums, as its digits have it."""
    return sum(
        (Fraction(int(digit[place])) * Fraction(2) ** (32 * k - 149) for k, digit in total.digits().items()),
        Fraction(0),
    )


def test_what_floats_would_swallow_is_there():
    total = summed(np.float32([[2.0**100], [2.0**-140], [-(2.0**100)]]))
    # 2^-140 is 2^9 units of 2^-149, in the lowest digit
    assert {place: digit.tolist() for place, digit in total.digits().items()} == {0: [2**9]}
    assert total.value() == 2.0**-140


def test_digits_carry():
    total = summed(np.float32([[2.0**-149 * 2**31]] * 2))  # 2^32 units: the second digit is one
    assert {place: digit.tolist() for place, digit in total.digits().items()} == {1: [1]}
    total.add(np.float32([-(2.0**-149)]))
    assert {place: digit.tolist() for place, digit in total.digits().items()} == {0: [-1], 1: [1]}


@given(terms)
def test_sums_are_exact(arrays):
    total = summed(arrays)
    for place in range(3) if arrays else ():
        assert whole(total, place) == sum(Fraction(float(array[place])) for array in arrays)
        assert float(total.value().reshape(-1)[place if total.digits() else 0]) == pytest.approx(
            float(whole(total, place)), rel=1e-15
        )


@given(terms, st.randoms(use_true_random=False), st.integers(0, 8))
def test_any_order_and_split_give_the_same_digits(arrays, random, cut):
    shuffled = list(arrays)
    random.shuffle(shuffled)
    left, right = summed(shuffled[:cut]), summed(shuffled[cut:])
    right.merge(left)
    assert right == summed(arrays)


@given(terms)
def test_digits_make_the_sum_again(arrays):
    total = summed(arrays)
    digits = np.array(list(total.digits().values()), np.int64).reshape(-1, 3)
    assert ExactSum.from_digits(list(total.digits()), digits) == total


@pytest.mark.parametrize(
    ("places", "digits"), [([0], [[2**31]]), ([0], [[0]]), ([99], [[1]]), ([1, 0], [[1], [1]]), ([0], [])]
)
def test_digits_that_no_sum_has(places, digits):
    with pytest.raises(ValueError, match=r"digits|zip"):
        ExactSum.from_digits(places, np.int64(digits))
