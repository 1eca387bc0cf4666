from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import f1_score

from tinyint.data import Sample
from tinyint.report.words import told_from_chance
from tinyint.tasks import Segmentation
from tinyint.tasks.paired import differences, mcnemar
from tinyint.tasks.scoring.classification import ClassificationScorer
from tinyint.tasks.scoring.segmentation import SegmentationScorer


def answers(both: int, only_a: int, only_b: int) -> tuple[np.ndarray, np.ndarray]:
    a = [True] * (both + only_a) + [False] * only_b
    return np.array(a), np.array([True] * both + [False] * only_a + [True] * only_b)


def test_mcnemar_by_hand() -> None:
    # Five questions that one model alone has right, one of them model a:
    # 2·P(X < 1) + P(X = 1) = (2·1 + 5) / 32.
    assert mcnemar(*answers(90, 1, 4)) == 7 / 32
    assert mcnemar(*answers(90, 4, 1)) == 7 / 32
    assert mcnemar(*answers(90, 3, 3)) == 1.0
    assert mcnemar(*answers(90, 0, 0)) == 1.0
    assert mcnemar(*answers(0, 0, 10)) == 1 / 1024


@given(st.integers(0, 1200), st.integers(0, 1200))
def test_mcnemar_is_the_mid_p_of_the_binomial(only_a: int, only_b: int) -> None:
    n, fewer = only_a + only_b, min(only_a, only_b)
    expected = 1.0 if only_a == only_b else 2 * binom.cdf(fewer - 1, n, 0.5) + binom.pmf(fewer, n, 0.5)
    assert mcnemar(*answers(3, only_a, only_b)) == pytest.approx(expected, rel=1e-9)
    assert comb(n, fewer) > 0


def classifier(labels: list[int], predicted: list[int], classes: int = 3) -> ClassificationScorer:
    scorer = ClassificationScorer()
    for label, guess in zip(labels, predicted, strict=True):
        scorer.add(Sample({}, label, "s"), {"y": np.eye(classes, dtype=np.float32)[[guess]]})
    return scorer


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_f1_is_that_of_scikit_learn(seed: int, classes: int) -> None:
    labels, predicted = np.random.default_rng(seed).integers(classes, size=(2, 12))
    found = classifier(labels.tolist(), predicted.tolist(), classes).metrics()
    assert found["f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    if classes == 2:
        defined = bool(labels.any() or predicted.any())
        assert found["f1_positive"] == (pytest.approx(f1_score(labels, predicted)) if defined else None)


def test_a_planted_difference_is_found_and_chance_is_not() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=400)
    good, other, poor = (
        classifier(labels.tolist(), np.where(rng.random(400) < share, labels, (labels + 1) % 3).tolist())
        for share in (0.9, 0.9, 0.8)
    )
    planted = differences(poor, good)
    assert set(planted) == {"top1", "f1"}
    assert (planted["top1"].test, planted["f1"].test) == ("McNemar", "bootstrap")
    for found in planted.values():
        assert found.value == pytest.approx(-0.1, abs=0.05)
        assert found.low < found.value < found.high < 0
        assert found.beyond_chance
        assert told_from_chance(found).startswith("worse beyond chance (p")
    for found in differences(other, good).values():
        assert found.low < 0 < found.high
        assert not found.beyond_chance
        assert told_from_chance(found) == f"no difference beyond chance (p = {found.p:.2f})"


def test_a_model_does_not_differ_from_itself() -> None:
    scorer = classifier([0, 1, 2, 0], [0, 1, 1, 2])
    for found in differences(scorer, scorer).values():
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_the_same_seed_gives_the_same_numbers() -> None:
    rng = np.random.default_rng(1)
    first, second = SegmentationScorer(Segmentation()), SegmentationScorer(Segmentation())
    for _ in range(20):
        label = rng.integers(3, size=(4, 4))
        for scorer in (first, second):
            guess = np.where(rng.random((4, 4)) < 0.7, label, 0)
            scorer.add(Sample({}, label, "s"), {"labels": guess[None]})
    assert differences(first, second) == differences(first, second)
    assert differences(first, second, seed=1) != differences(first, second)


def test_the_bootstrap_finds_its_level() -> None:
    """Of pairs of equal models, about one in twenty differs beyond chance at 5 %."""
    rng = np.random.default_rng(2)
    beyond = 0
    for _ in range(100):
        labels = rng.integers(2, size=60)
        pair = [
            classifier(labels.tolist(), np.where(rng.random(60) < 0.8, labels, 1 - labels).tolist(), 2)
            for _ in range(2)
        ]
        beyond += differences(*pair, resamples=200)["f1"].beyond_chance
    assert 1 <= beyond <= 12
