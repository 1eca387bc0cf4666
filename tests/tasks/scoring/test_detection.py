"""AP by hand, against COCOeval on a file of its own, and by weights against copied images."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tinyint.data import Boxes, Sample
from tinyint.errors import DataError, ModelError
from tinyint.numbers.numerics import Array
from tinyint.tasks import Detection
from tinyint.tasks.scoring.detection import DetectionScorer

INFO = Detection(anchors=(((8, 8),),), strides=(32,))
INPUT = {"image": np.zeros((1, 3, 100, 100), np.float32)}
Row = tuple[int, float, float, float, float, float]  # class, score, x1, y1, x2, y2


def boxes(
    *rows: tuple[int, float, float, float, float], crowd: tuple[int, ...] = (), side: int = 100
) -> Boxes:
    """Each row is class, x1, y1, x2, y2."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    corners = table[:, 1:]
    return Boxes(
        boxes=corners,
        classes=table[:, 0].astype(np.int64),
        crowd=np.isin(np.arange(len(table)), crowd),
        areas=(corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]),
        size=(side, side),
        image_id=1,
    )


def found(*rows: Row) -> dict[str, Array]:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return {"detections": np.concatenate([np.zeros((len(table), 1), np.float32), table], axis=1)}


def scored(*images: tuple[Boxes, dict[str, Array]]) -> DetectionScorer:
    scorer = DetectionScorer(INFO)
    for i, (truth, outputs) in enumerate(images):
        scorer.add(Sample(INPUT, truth, f"{i}.jpg"), outputs)
    return scorer


def test_one_of_two_objects_by_hand() -> None:
    truth = boxes((0, 0, 0, 40, 40), (0, 60, 60, 100, 100))
    # The first is found with an IoU of 40·28 / 40·40 = 0.7; the third detection is of nothing.
    scorer = scored((truth, found((0, 0.9, 0, 0, 40, 28), (0, 0.5, 50, 0, 60, 10))))
    # At 0.5, 0.55, …, 0.7: precision 1 up to a recall of 1/2, which 51 of the 101 recalls do not exceed; 0 above.
    at_half = 51 / 101
    assert scorer.metrics() == {
        "AP": pytest.approx(at_half * 5 / 10),
        "AP50": pytest.approx(at_half),
        "AP75": 0.0,
        "APs": None,
        "APm": pytest.approx(at_half * 5 / 10),  # both are of 1600 pixels, between 32² and 96²
        "APl": None,
    }


def test_a_false_one_ahead_halves_the_precision() -> None:
    truth = boxes((0, 0, 0, 40, 40))
    scorer = scored((truth, found((0, 0.9, 50, 50, 90, 90), (0, 0.8, 0, 0, 40, 40))))
    assert scorer.metrics()["AP"] == pytest.approx(0.5)


def test_a_crowd_is_neither_to_be_found_nor_makes_wrong() -> None:
    truth = boxes((0, 0, 0, 20, 20), (0, 50, 50, 100, 100), crowd=(1,))
    hits = found((0, 0.9, 55, 55, 75, 75), (0, 0.8, 60, 60, 90, 90), (0, 0.7, 0, 0, 20, 20))
    assert scored((truth, hits)).metrics()["AP"] == pytest.approx(1.0)


def test_an_empty_image_makes_its_detections_wrong() -> None:
    hit = (boxes((0, 0, 0, 40, 40)), found((0, 0.5, 0, 0, 40, 40)))
    assert scored(hit, (boxes(), found())).metrics()["AP"] == pytest.approx(1.0)
    assert scored(hit, (boxes(), found((0, 0.9, 0, 0, 9, 9)))).metrics()["AP"] == pytest.approx(0.5)
    assert scored((boxes(), found((0, 0.9, 0, 0, 9, 9)))).metrics()["AP"] is None
    assert scored((boxes(), found())).metrics()["AP"] is None


def test_boxes_of_the_input_are_brought_to_the_image() -> None:
    truth = boxes((1, 0, 0, 200, 100), side=500)  # the input has a side of 100
    scorer = scored((truth, found((1, 0.5, 0, 0, 40, 20))))
    assert scorer.metrics()["AP"] == pytest.approx(1.0)
    assert scorer.per_class() == [None, pytest.approx(1.0)]


def scene(rng: np.random.Generator) -> tuple[Boxes, dict[str, Array]]:
    """Three classes, some objects found, some crowds, some detections of nothing; the input is a third as large."""
    count = int(rng.integers(0, 6))
    corners = rng.uniform(0, 70, size=(count, 2))
    rows = np.concatenate(
        [rng.integers(3, size=(count, 1)), corners, corners + rng.uniform(5, 60, size=(count, 2))], axis=1
    )
    crowd = tuple(np.flatnonzero(rng.random(count) < 0.2))
    kept = rows[rng.random(count) < 0.8]
    guesses = [
        (int(c), float(rng.random()), *np.asarray(box + rng.normal(scale=2, size=4)).tolist())
        for c, *box in kept
    ]
    guesses += [
        (int(rng.integers(3)), float(rng.random()), x, y, x + 15, y + 15)
        for x, y in rng.uniform(0, 80, size=(3, 2))
    ]
    return boxes(*map(tuple, rows * [1, 3, 3, 3, 3]), crowd=crowd, side=300), found(*guesses)


def test_the_same_as_cocoeval_on_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = [scene(rng) for _ in range(30)]
    annotations, results = [], []
    for i, (truth, outputs) in enumerate(images):
        for (x1, y1, x2, y2), c, crowd, area in zip(
            truth.boxes.tolist(), truth.classes.tolist(), truth.crowd, truth.areas, strict=True
        ):
            entry = {"id": len(annotations) + 1, "image_id": i, "category_id": c + 10, "iscrowd": int(crowd)}
            annotations.append(entry | {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": float(area)})
        for _, c, score, x1, y1, x2, y2 in outputs["detections"].tolist():
            entry = {"image_id": i, "category_id": int(c) + 10, "score": score}
            results.append(entry | {"bbox": [3 * x1, 3 * y1, 3 * (x2 - x1), 3 * (y2 - y1)]})
    file = {
        "images": [{"id": i} for i in range(30)],
        "categories": [{"id": i, "name": "c"} for i in (10, 11, 12)],
    }
    (tmp_path / "truth.json").write_text(json.dumps(file | {"annotations": annotations}))
    (tmp_path / "found.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(str(tmp_path / "truth.json"))
        judged = COCOeval(theirs, theirs.loadRes(str(tmp_path / "found.json")), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    ours = scored(*images).metrics()
    assert list(ours.values()) == pytest.approx(list(judged.stats[:6]))
    assert 0.1 < (ours["AP"] or 0) < 0.9


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_a_weight_is_a_number_of_copies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [scene(rng) for _ in range(4)]
    counts = rng.integers(3, size=4)
    weights = np.stack([np.ones(4), counts])
    resampled = scored(*images).resampled(weights)
    copies = [image for image, count in zip(images, counts, strict=True) for _ in range(count)]
    for draw, expected in enumerate((scored(*images), scored(*copies))):
        metrics = expected.metrics()
        assert resampled.keys() == metrics.keys()
        for name, values in resampled.items():
            value = values[draw]
            assert (None if np.isnan(value) else value) == pytest.approx(metrics[name])


def test_the_hundred_best_of_an_image_count(capfd: pytest.CaptureFixture[str]) -> None:
    truth = boxes((0, 0, 0, 40, 40))
    wrong = [(c, 0.9, 50.0, 50.0, 60.0, 60.0) for c in (1, 2) for _ in range(50)]
    assert scored((truth, found(*wrong, (0, 0.8, 0, 0, 40, 40)))).metrics()["AP"] == 0.0
    assert scored((truth, found(*wrong[1:], (0, 0.8, 0, 0, 40, 40)))).metrics()["AP"] == pytest.approx(1.0)
    assert capfd.readouterr().out == ""


def test_what_cannot_be() -> None:
    scorer = DetectionScorer(INFO.model_copy(update={"classes": ("a", "b")}))
    with pytest.raises(DataError, match=r"img\.jpg has a label of type int; detection needs the boxes"):
        scorer.add(Sample(INPUT, 3, "img.jpg"), found())
    with pytest.raises(
        DataError, match=r"img\.jpg has a box of class 2, but the model has the classes 0 to 1"
    ):
        scorer.add(Sample(INPUT, boxes((2, 0, 0, 5, 5)), "img.jpg"), found())
    with pytest.raises(ModelError, match="no output `detections`"):
        scorer.add(Sample(INPUT, boxes(), "img.jpg"), {"head": np.zeros((1, 18, 2, 2))})
    with pytest.raises(ModelError, match=r"'detections' is NaN for sample img\.jpg"):
        scorer.add(Sample(INPUT, boxes(), "img.jpg"), found((0, float("nan"), 0, 0, 1, 1)))
