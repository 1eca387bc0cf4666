from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyint.evaluate import metrics
from tinyint.evaluate.metrics import NoiseSum, cosine, rank_of, top_k
from tinyint.numerics import sqnr_db

LOGITS = np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.5], [3, 1, 2], [np.nan, 0, -1]], np.float32)


def test_ranks_by_hand_with_ties_to_the_lower_class() -> None:
    assert rank_of(LOGITS, [2, 1, 1, 0]).tolist() == [1, 1, 2, 2]
    assert rank_of(LOGITS, [1, 0, 0, 1]).tolist() == [0, 0, 0, 0]
    assert top_k(LOGITS, [2, 1, 1, 2], 2).tolist() == [True, True, False, True]


@given(hnp.arrays(np.float32, (7, 5), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])), st.integers(0, 4))
def test_rank_is_that_of_a_stable_sort(logits: np.ndarray, label: int) -> None:
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = [row.tolist().index(label) for row in order]
    assert rank_of(logits, np.full(7, label)).tolist() == expected
    assert top_k(logits, np.full(7, label), 1).tolist() == (logits.argmax(axis=1) == label).tolist()


def test_cosine_by_hand() -> None:
    assert cosine(np.array([3.0, 4.0]), np.array([4.0, 3.0])) == pytest.approx(0.96)
    assert cosine(np.array([1.0, 0.0]), np.array([-2.0, 0.0])) == -1.0
    assert cosine(np.zeros(3), np.zeros(3)) == 1.0
    assert cosine(np.zeros(3), np.ones(3)) == 0.0
    assert cosine(np.array([-np.inf, 1.0, 0.0]), np.array([-np.inf, 1.0, 1.0])) == pytest.approx(0.5**0.5)


def test_noise_of_many_arrays_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_BLOCK", 7)
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
