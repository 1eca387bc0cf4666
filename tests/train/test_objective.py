import math

import pytest
import torch

from tinyint.errors import DataError, ModelError, RecipeError
from tinyint.tasks import Classification, Detection, Segmentation
from tinyint.tasks.learning.logits import logits_of
from tinyint.train.config import LossPart
from tinyint.train.objective import Objective

LOGITS = torch.tensor([[0.0, math.log(3.0)], [math.log(3.0), 0.0]])  # softmax (1/4, 3/4) and (3/4, 1/4)

BOXES = Detection(anchors=(((16.0, 16.0),),), strides=(32,))


def test_cross_entropy_of_the_labels():
    loss = Objective(LossPart()).loss(LOGITS, torch.tensor([1, 1]), None)
    assert float(loss) == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_the_divergence_from_the_teacher():
    objective = Objective(LossPart(teacher=True, teacher_loss="kl"))
    uniform = torch.zeros(2, 2)
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert float(objective.loss(LOGITS, None, uniform)) == pytest.approx(expected)
    assert float(objective.loss(LOGITS, None, LOGITS)) == 0.0


def test_a_share_mixes_both():
    labels, teacher = torch.tensor([1, 1]), torch.zeros(2, 2)
    parts = [
        Objective(LossPart(teacher=True, teacher_loss="kl", teacher_share=share)).loss(
            LOGITS, labels, teacher
        )
        for share in (0.0, 0.25, 1.0)
    ]
    assert float(parts[1]) == pytest.approx(float(0.75 * parts[0] + 0.25 * parts[2]))


def test_auxiliary_outputs_of_a_segmentation_net_count_by_their_weight():
    sure = torch.tensor([0.0, math.log(3.0)]).reshape(1, 2, 1, 1)  # softmax (1/4, 3/4)
    labels = torch.ones(1, 1, 1, dtype=torch.int64)
    objective = Objective(LossPart(auxiliary=0.5), Segmentation())
    assert float(objective.loss((sure, torch.zeros_like(sure)), labels, None)) == pytest.approx(
        math.log(4 / 3) + 0.5 * math.log(2)
    )
    assert float(objective.loss(sure, labels, None)) == pytest.approx(math.log(4 / 3))


def test_the_ignored_label_is_that_of_the_option_or_of_the_task():
    assert Objective(LossPart(), Segmentation(ignore_label=7)).ignored == 7
    assert Objective(LossPart(ignore_label=3), Segmentation(ignore_label=7)).ignored == 3
    assert Objective(LossPart()).ignored == -1


@pytest.mark.parametrize(
    ("options", "task"),
    [
        ({"label_smoothing": 0.1}, BOXES),
        ({"ignore_label": 255}, BOXES),
        ({"auxiliary": 1.0}, BOXES),
        ({"auxiliary": 1.0}, Classification()),
        ({"teacher": True, "teacher_loss": "kl"}, BOXES),
    ],
)
def test_an_option_that_the_task_does_not_have_is_refused(options, task):
    with pytest.raises(RecipeError, match=rf"loss\.{list(options)[-1]} "):
        Objective(LossPart(**options), task)


def test_maps_of_logits_take_maps_of_labels():
    logits = torch.zeros(2, 3, 4, 4)
    loss = Objective(LossPart()).loss({"out": logits}, torch.zeros(2, 1, 4, 4, dtype=torch.int64), None)
    assert float(loss) == pytest.approx(math.log(3))
    with pytest.raises(
        DataError, match=r"labels of shape \(2, 5\) do not fit logits of shape \(2, 3, 4, 4\)"
    ):
        Objective(LossPart()).loss(logits, torch.zeros(2, 5, dtype=torch.int64), None)


def test_decided_classes_are_no_logits():
    with pytest.raises(ModelError, match="ArgMax"):
        logits_of(torch.zeros(2, 1, dtype=torch.int64))
