from __future__ import annotations

import math

import numpy as np
import pytest

from tinyint.numbers import distance
from tinyint.numbers.distance import NoiseSum, cosine
from tinyint.numbers.numerics import sqnr_db


def test_cosine_by_hand() -> None:
    assert cosine(np.array([3.0, 4.0]), np.array([4.0, 3.0])) == pytest.approx(0.96)
    assert cosine(np.array([1.0, 0.0]), np.array([-2.0, 0.0])) == -1.0
    assert cosine(np.zeros(3), np.zeros(3)) == 1.0
    assert cosine(np.zeros(3), np.ones(3)) == 0.0
    assert cosine(np.array([-np.inf, 1.0, 0.0]), np.array([-np.inf, 1.0, 1.0])) == pytest.approx(0.5**0.5)


def test_noise_of_many_arrays_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance, "_BLOCK", 7)
    rng = np.random.default_rng(1)
    a = rng.normal(size=(6, 11)).astype(np.float32)
    b = a + rng.normal(scale=0.01, size=a.shape).astype(np.float32)
    first, second = NoiseSum(), NoiseSum()
    for i in range(3):
        first.add(a[i], b[i])
        second.add(a[i + 3], b[i + 3])
    first.merge(second)
    assert first.sqnr_db == pytest.approx(sqnr_db(a, b))


def test_noise_at_the_limits() -> None:
    equal, lost, infinite = NoiseSum(), NoiseSum(), NoiseSum()
    equal.add(np.array([np.inf, 1.0]), np.array([np.inf, 1.0]))
    lost.add(np.zeros(2), np.ones(2))
    infinite.add(np.array([3.0, 1.0]), np.array([np.inf, 1.0]))
    assert (equal.sqnr_db, lost.sqnr_db, infinite.sqnr_db) == (math.inf, -math.inf, -math.inf)


@pytest.mark.parametrize("mask", [-np.inf, -3.4e38, -1e30, np.inf])
def test_a_mask_is_no_signal(mask: float) -> None:
    masked = NoiseSum()
    masked.add(np.array([mask, 3.0, 4.0], np.float32), np.array([mask, 3.0, 3.0], np.float32))
    assert masked.sqnr_db == pytest.approx(10 * math.log10(25))
    assert masked.count == 2
    assert cosine(np.array([mask, 1.0, 0.0]), np.array([mask, 0.0, 1.0])) == 0.0


def test_the_ends_of_float16_are_masks() -> None:
    masked = NoiseSum()
    masked.add(np.array([-65504, 3, 4], np.float16), np.array([-65504, 3, 3], np.float16))
    assert masked.sqnr_db == pytest.approx(10 * math.log10(25))


def test_a_constant_stands_as_far_off_as_the_reference_varies() -> None:
    # Mean 3, Σx² = 20, variance 20 - 36/2 = 2.
    reference = NoiseSum()
    reference.add(np.array([2.0, 4.0]), np.array([3.0, 3.0]))
    assert reference.constant_db == pytest.approx(10.0)
    assert reference.constant_db == pytest.approx(reference.sqnr_db)
    assert NoiseSum().constant_db == math.inf
