import math

import pytest
import torch

from tinyint.errors import DataError, ModelError
from tinyint.train.config import LossPart
from tinyint.train.objective import Objective, logits_of

LOGITS = torch.tensor([[0.0, math.log(3.0)], [math.log(3.0), 0.0]])  # softmax (1/4, 3/4) and (3/4, 1/4)


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


def test_what_is_measured():
    assert Objective(LossPart()).decisions(LOGITS, torch.tensor([1, 1]), None).tolist() == [1, 2]
    ignoring = Objective(LossPart(ignore_label=255))
    assert ignoring.decisions(LOGITS, torch.tensor([1, 255]), None).tolist() == [1, 1]
    agreeing = Objective(LossPart(teacher=True, teacher_loss="kl"))
    assert agreeing.metric == "agreement"
    assert agreeing.decisions(LOGITS, None, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).tolist() == [1, 2]
    assert Objective(LossPart(teacher=True)).value(0.01, 0, 0) == pytest.approx(20.0)


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
