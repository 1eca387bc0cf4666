import math
import pickle

import numpy as np
import pytest
import torch

from tinyint.data import Boxes
from tinyint.tasks import Detection, Segmentation
from tinyint.train.config import LossPart
from tinyint.train.data import Batch
from tinyint.train.objective import Objective
from tinyint.train.validation import Validation

LOGITS = torch.tensor([[0.0, math.log(3.0)], [math.log(3.0), 0.0]])


def batch(labels, **inputs):
    return Batch(inputs, labels, 2)


def test_top1_of_the_labels_that_count():
    seen = Validation(Objective(LossPart(ignore_label=255)))
    seen.add(batch(torch.tensor([1, 255])), LOGITS, None, 0.5)
    seen.add(batch(torch.tensor([0, 0])), LOGITS, None, 1.5)
    assert seen.metrics()["top1"] == pytest.approx(2 / 3)
    assert next(iter(seen.metrics())) == "top1"
    assert seen.loss == 1.0


def test_every_place_of_a_sequence_is_judged():
    seen = Validation(Objective(LossPart()))
    logits = torch.tensor([[[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]]).repeat(2, 1, 1)  # classes 1, 0, 0
    seen.add(batch(torch.tensor([[1, 0, 1], [1, 1, 1]])), logits, None, 0.0)
    assert seen.metrics()["top1"] == pytest.approx(3 / 6)


def test_masks_give_the_mean_iou():
    seen = Validation(Objective(LossPart(), Segmentation()))
    logits = torch.zeros(2, 2, 1, 2)
    logits[:, 1, 0, 0] = 1.0  # classes 1, 0
    seen.add(batch(torch.tensor([[[1, 0]], [[1, 1]]])), logits, None, 0.0)
    assert seen.metrics()["miou"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_boxes_are_decoded_before_they_are_judged():
    task = Detection(anchors=(((32.0, 32.0),),), strides=(32,))
    heads = torch.full((2, 6, 2, 2), -9.0)
    heads[:, :4] = 0.0  # a box of 32 × 32 in the middle of each cell
    heads[0, 4:, 0, 1] = 9.0
    truth = [
        Boxes(
            boxes=np.array([box], np.float32),
            classes=np.zeros(1, np.int64),
            crowd=np.zeros(1, bool),
            areas=np.array([1024], np.float32),
            size=(64, 64),
            image_id=i,
        )
        for i, box in enumerate([[32, 0, 64, 32], [0, 0, 32, 32]])
    ]
    seen = Validation(Objective(LossPart(), task))
    seen.add(batch(truth, images=torch.zeros(2, 3, 64, 64)), (heads,), None, 0.0)
    metrics = seen.metrics()
    assert next(iter(metrics)) == "AP"
    assert metrics["AP"] == pytest.approx(51 / 101)  # one of two found: precision 1 up to the recall 0.5


def test_without_labels_the_teacher_is_the_measure():
    agreeing = Validation(Objective(LossPart(teacher=True, teacher_loss="kl")))
    agreeing.add(batch(None), LOGITS, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 0.1)
    assert agreeing.metrics() == {"agreement": 0.5}
    relative = Validation(Objective(LossPart(teacher=True)))
    relative.add(batch(None), LOGITS, LOGITS, 0.01)
    assert relative.metrics()["sqnr_db"] == pytest.approx(20.0)


@pytest.mark.parametrize("task", [Segmentation(), None])
def test_what_two_have_seen_is_what_one_would_have(task):
    options = LossPart()
    objective = Objective(options, task) if task else Objective(options)
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 4, 4) if task else (2, 3)
    parts = [
        (torch.randn(shape, generator=generator), torch.randint(3, (2, *shape[2:]), generator=generator))
        for _ in range(2)
    ]
    whole, halves = Validation(objective), [Validation(objective) for _ in parts]
    for half, (logits, labels) in zip(halves, parts, strict=True):
        whole.add(batch(labels), logits, None, 1.0)
        half.add(batch(labels), logits, None, 1.0)
    first, second = (pickle.loads(pickle.dumps(half.scorer)) for half in halves)
    first.merge(second)
    assert first.metrics() == whole.metrics()
