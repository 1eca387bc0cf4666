"""The metrics and samples of benchmarks/pretrained."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from pretrained.network import Samples
from pretrained.ocr import Classifier, Detector, _box_f1, _boxes, _f1, _likeness


def test_likeness_counts_edits_by_the_length_of_the_truth():
    assert _likeness("abc", "abc") == 1
    assert _likeness("abd", "abc") == pytest.approx(2 / 3)
    assert _likeness("ab", "abcd") == pytest.approx(1 / 2)
    assert _likeness("much too long", "a") == 0


def test_boxes_are_hit_by_half_of_their_union_and_once():
    truth = [(0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0)]
    assert _box_f1(truth, truth) == 1
    near = (0.0, 0.0, 10.0, 6.0)  # 60 of 100
    assert _box_f1([near], truth) == pytest.approx(2 / 3)
    assert _box_f1([near, near], truth) == pytest.approx(2 / 4)
    assert _box_f1([(0.0, 0.0, 10.0, 4.0)], truth) == 0
    assert _box_f1([], []) == 1


def test_regions_become_grown_boxes():
    mask = np.zeros((20, 40), bool)
    mask[5:11, 10:22] = True  # 12 wide, 6 high: grows by 72 · 1.6 / 36
    mask[0, 0] = True  # too small
    ((left, top, right, bottom),) = _boxes(mask)
    np.testing.assert_allclose((left, top, right, bottom), (6.8, 1.8, 25.2, 14.2))
    assert _f1(3, 4, 8) == pytest.approx(0.5)


def test_a_classifier_is_judged_by_truth_and_by_float():
    def answers(*numbers):
        return [np.eye(2)[[n]] for n in numbers]

    found = Classifier().metrics(Samples([], [0, 1, 1]), answers(0, 1, 0), answers(0, 0, 0))
    assert found["right"].tolist() == [True, False, False]
    assert found["as float"].tolist() == [True, False, True]


def test_pixels_are_held_against_float():
    maps = [np.array([[[[0.9, 0.9], [0.1, 0.1]]]]), np.array([[[[0.9, 0.1], [0.1, 0.1]]]])]
    found = Detector().metrics(Samples([], [[]]), [maps[0]], [maps[1]])
    assert found["pixel F1"].tolist() == [pytest.approx(2 / 3)]


def test_samples_are_the_same_for_the_same_seed():
    pytest.importorskip("matplotlib")
    first, again, other = (Detector().samples(2, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.feeds[1]["x"], again.feeds[1]["x"])
    assert first.truth == again.truth
    assert first.truth != other.truth
    assert first.feeds[0]["x"].shape == (1, 3, 480, 480)
