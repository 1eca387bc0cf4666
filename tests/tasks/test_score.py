from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from tests.fake_runtime import FakeSession
from tests.graph.build import build
from tests.tasks.build import DETECTOR, detector
from tinyint.data import Sample
from tinyint.errors import DataError, ModelError
from tinyint.runtimes import Session, TensorSpec, get_runtime
from tinyint.runtimes.base import Feeds
from tinyint.tasks.score import outputs_for, score
from tinyint.tasks.scoring.classification import ClassificationScorer


def session(batch: int | None = None, called: Callable[[Feeds], object] = len) -> FakeSession:
    """Its output is its input."""
    spec = TensorSpec(name="x", dtype=np.dtype("float32"), shape=(batch, None))
    return FakeSession(inputs=(spec,), called=called)  # type: ignore[arg-type]


def sample(scores: list[float], label: object, name: str = "s") -> Sample:
    return Sample({"x": np.array([scores], np.float32)}, label, name)  # type: ignore[arg-type]


def evaluated(model: Session, data: Iterable[Sample], batch_size: int = 1) -> ClassificationScorer:
    scorer = ClassificationScorer()
    score([(model, scorer)], data, batch_size)
    return scorer


FOUR = [
    sample([9, 5, 4, 3, 2, 1], 0),  # first
    sample([9, 5, 4, 3, 2, 1], 4),  # fifth
    sample([9, 5, 4, 3, 2, 1], 5),  # sixth
    sample([1, 1, 1, 1, 1, 1], 1),  # second of six equal ones
]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_shares_by_hand(batch_size: int) -> None:
    done: list[int] = []
    scorer = ClassificationScorer()
    assert score([(session(), scorer)], FOUR, batch_size, progress=done.append) == 4
    # Class 0 is predicted four times, once rightly; the labels are 0, 4, 5 and 1, of which 0 alone is ever hit.
    f1 = 2 * 1 / (4 + 1)
    assert scorer.metrics() == {"top1": 0.25, "top5": 0.75, "f1": f1 / 4, "f1_positive": None}
    assert scorer.per_class() == [f1, 0, None, None, 0, 0]
    assert (scorer.units, scorer.classes, done[-1]) == (4, 6, 4)


def test_batches_where_the_model_leaves_them_open() -> None:
    sizes: list[int] = []
    evaluated(session(None, called=lambda f: sizes.append(len(f["x"]))), FOUR, 3)
    evaluated(session(1, called=lambda f: sizes.append(len(f["x"]))), FOUR, 3)
    assert sizes == [3, 1, 1, 1, 1, 1]


def test_a_batch_ends_where_the_shape_changes() -> None:
    model = get_runtime("onnxruntime").open(
        build("g (float[N,C,W] x) => (float[N,C,1] y) { y = ReduceSum(x, a) }", a=np.array([2]))
    )
    data = [
        Sample({"x": np.eye(3, dtype=np.float32)[None, :, :width]}, 0, f"{width}") for width in (1, 1, 2, 3)
    ]
    found = evaluated(model, data, 4)
    # Sums: [1, 0, 0] twice, then [1, 1, 0] and [1, 1, 1], whose ties go to class 0.
    assert (found.metrics()["top1"], found.metrics()["top5"]) == (1.0, None)
    assert found.classes == 3


def test_a_fixed_batch_has_a_label_a_row() -> None:
    both = Sample({"x": np.array([[1, 2], [2, 1]], np.float32)}, np.array([1, 1]), "pair")
    assert evaluated(session(2), [both]).metrics()["top1"] == 0.5
    with pytest.raises(DataError, match="pair has 1 labels, but the model's output has 2 rows"):
        evaluated(session(2), [Sample(both.inputs, 1, "pair")])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "img_3 has no label"),
        (6, "img_3 has the label 6, but the model has the classes 0 to 5"),
        (-1, "img_3 has the label -1"),
        (np.float32(1.5), "img_3: the label is of type float32"),
    ],
)
def test_labels_that_cannot_be(label: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluated(session(), [FOUR[0], sample([1, 2, 3, 4, 5, 6], label, "img_3")], 2)


def test_no_samples() -> None:
    with pytest.raises(DataError, match="no samples"):
        evaluated(session(), [])


@pytest.mark.parametrize("logits", [[np.inf] * 3, [np.inf, 1, 2], [-np.inf] * 3, [-3.4e38] * 3])
def test_logits_without_a_highest_are_refused(logits: list[float]) -> None:
    with pytest.raises(ModelError, match="'y' is infinite for sample img_1, so that no class is the highest"):
        evaluated(session(), [FOUR[0], sample([*logits, *logits], 0, "img_1")])


def test_masked_classes_are_no_fault() -> None:
    assert evaluated(session(), [sample([-np.inf, 1, -3.4e38, 0, 0, 0], 1)]).metrics()["top1"] == 1.0


def test_an_error_of_a_run_names_the_sample() -> None:
    heads = DETECTOR.decided(get_runtime("onnxruntime").open(detector()))
    bad = Sample({"x": np.full((1, 3, 64, 64), np.nan, np.float32)}, name="img_7")
    with pytest.raises(ModelError, match=r"sample img_7: .*'head_0' of the network is NaN or infinite"):
        outputs_for(heads, [bad])


def test_nan_names_the_sample_and_a_wrong_shape_the_outputs() -> None:
    bad = sample([1, float("nan"), 3, 4, 5, 6], 0, "img_1")
    with pytest.raises(ModelError, match="'y' is NaN for sample img_1"):
        evaluated(session(), [FOUR[0], bad], 2)
    with pytest.raises(ModelError, match=r"no output of shape .* only 'y' \(1, 1\)"):
        evaluated(session(), [sample([1], 0)])
