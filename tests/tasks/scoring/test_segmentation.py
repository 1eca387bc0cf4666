from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from tinyint.data import Sample
from tinyint.errors import DataError, ModelError
from tinyint.numbers.numerics import Array
from tinyint.tasks import Segmentation
from tinyint.tasks.scoring.segmentation import SegmentationScorer


def sample(label: object, name: str = "s.png") -> Sample:
    return Sample({}, np.array(label, np.uint8) if isinstance(label, list) else label, name)  # type: ignore[arg-type]


def logits(classes: list[list[int]], count: int) -> Array:
    """(1, count, H, W), highest at `classes`."""
    return np.moveaxis(np.eye(count, dtype=np.float32)[np.array(classes)], -1, 0)[None]


def test_two_by_two_by_hand() -> None:
    scorer = SegmentationScorer(Segmentation())
    scorer.add(sample([[0, 1], [1, 255]]), {"logits": logits([[0, 0], [1, 2]], 4)})
    # Without the ignored pixel: class 0 has 1 of 2, class 1 has 1 of 2; classes 2 and 3 are nowhere.
    assert scorer.metrics() == {"miou": 0.5, "pixel_accuracy": pytest.approx(2 / 3)}
    assert scorer.per_class() == [0.5, 0.5, None, None]
    # A second image, all of class 2 and all right: class 2 has 4 of 4.
    scorer.add(sample([[2, 2], [2, 2]]), {"logits": logits([[2, 2], [2, 2]], 4)})
    assert scorer.metrics() == {"miou": pytest.approx(2 / 3), "pixel_accuracy": pytest.approx(6 / 7)}
    assert (scorer.units, scorer.classes) == (2, 4)


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    scorer = SegmentationScorer(Segmentation())
    scorer.add(sample([[0, 0]]), {"logits": logits([[0, 2]], 3)})
    assert scorer.per_class() == [0.5, None, 0.0]
    assert scorer.metrics()["miou"] == 0.25


def test_a_map_of_classes_is_as_good_as_logits() -> None:
    scorer = SegmentationScorer(Segmentation(ignore_label=0))
    scorer.add(sample([[0, 1]]), {"labels": np.array([[[1, 1]]])})
    assert scorer.metrics() == {"miou": 1.0, "pixel_accuracy": 1.0}
    scorer.add(sample([[2, 1]]), {"labels": np.array([[[1, 1]]])})  # a class more than before
    assert scorer.per_class() == [None, pytest.approx(2 / 3), 0.0]


def test_nothing_to_judge() -> None:
    scorer = SegmentationScorer(Segmentation())
    scorer.add(sample([[255, 255]]), {"logits": logits([[0, 1]], 2)})
    assert scorer.metrics() == {"miou": None, "pixel_accuracy": None}


@given(st.integers(0, 2**32 - 1))
def test_the_same_as_scikit_learn_however_the_pixels_are_spread_over_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(5, size=(2, 3, 4, 6))
    labels[rng.random(labels.shape) < 0.2] = 255
    scorer = SegmentationScorer(Segmentation())
    for label, guess in zip(labels, predicted, strict=True):
        scorer.add(Sample({}, label.astype(np.uint8), "s"), {"labels": guess[None]})
    valid = labels != 255
    expected = jaccard_score(labels[valid], predicted[valid], average="macro")
    assert scorer.metrics()["miou"] == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1))
def test_a_weight_is_a_number_of_copies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [(rng.integers(3, size=(2, 2)), rng.integers(3, size=(1, 2, 2))) for _ in range(3)]
    once, copied = SegmentationScorer(Segmentation()), SegmentationScorer(Segmentation())
    counts = rng.integers(3, size=3)
    for (label, guess), count in zip(images, counts, strict=True):
        once.add(Sample({}, label, "s"), {"labels": guess})
        for _ in range(count):
            copied.add(Sample({}, label, "s"), {"labels": guess})
    if counts.sum():
        found = once.resampled(counts[None].astype(np.float64))
        assert {name: values[0] for name, values in found.items()} == pytest.approx(copied.metrics())


@pytest.mark.parametrize(
    ("label", "output", "error", "message"),
    [
        ([[0, 7]], logits([[0, 1]], 3), DataError, "bad.png has 1 pixels with labels such as 7.*classes 0 to 2"),
        ([[0, 1], [1, 0]], logits([[0, 1]], 3), DataError, r"bad.png: the label has shape \(2, 2\), .* \(1, 1, 2\)"),
        (None, logits([[0, 1]], 3), DataError, "bad.png has no label"),
        (3, logits([[0, 1]], 3), DataError, "bad.png has a label of type int"),
        (np.zeros((1, 2)), logits([[0, 1]], 3), DataError, "bad.png: the label is of type float64"),
        ([[0, 1]], np.full((1, 2, 1, 2), np.nan, np.float32), ModelError, "'y' is NaN for sample bad.png"),
        ([[0, 1]], np.full((1, 2, 1, 2), np.inf, np.float32), ModelError, "'y' is infinite for sample bad.png"),
        ([[0, 1]], np.zeros((1, 4), np.float32), ModelError, "no segmentation net"),
    ],
)  # fmt: skip
def test_what_cannot_be(label: object, output: Array, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SegmentationScorer(Segmentation()).add(sample(label, "bad.png"), {"y": output})
