import pytest
import torch
from torch import nn

from tinyint.train.config import OptimizerPart, SchedulePart
from tinyint.train.schedule import learning_rate, make_optimizer


def test_cosine_after_a_warm_up():
    schedule = SchedulePart(name="cosine", warmup=3)
    rates = [learning_rate(i, 7, 0.8, schedule) for i in range(7)]
    # a quarter, a half and three quarters of the peak; then 0.4·(1 + cos(0, π/4, π/2, 3π/4))
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.6828427, 0.4, 0.1171573])


def test_steps():
    schedule = SchedulePart(name="step", step=2, factor=0.5)
    assert [learning_rate(i, 5, 1.0, schedule) for i in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_milestones_count_the_warm_up():
    schedule = SchedulePart(name="milestones", milestones=[2, 4], factor=0.5, warmup=1)
    assert [learning_rate(i, 6, 1.0, schedule) for i in range(6)] == [0.5, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_poly():
    schedule = SchedulePart(name="poly", power=2, end=0.2)
    # 0.2 + 0.8·(1, 3/4, 1/2, 1/4)²
    assert [learning_rate(i, 4, 1.0, schedule) for i in range(4)] == pytest.approx([1.0, 0.65, 0.4, 0.25])
    warm = SchedulePart(name="poly", warmup=2)
    assert learning_rate(2, 4, 1.0, warm) == 1.0
    assert learning_rate(3, 4, 1.0, warm) == pytest.approx(0.5**0.9)


def test_what_a_schedule_does_not_use_is_told():
    assert SchedulePart(name="milestones", milestones=[3, 9]).idle(9) == [
        "the run ends after 9 iterations, before the milestones [9]"
    ]
    assert SchedulePart(milestones=[3], power=1).idle(9) == [
        "schedule.milestones has no effect with schedule.name=cosine, only with milestones",
        "schedule.power has no effect with schedule.name=cosine, only with poly",
    ]
    assert SchedulePart(name="poly", power=1, end=0.1).idle(9) == []


def test_adam_decays_through_the_gradient():
    weight = nn.Linear(1, 1, bias=False)
    nn.init.ones_(weight.weight)
    weight.weight.grad = torch.zeros(1, 1)
    optimizer = make_optimizer(weight, OptimizerPart(name="adam", learning_rate=0.5, weight_decay=0.1))
    optimizer.step()
    # the gradient is the decay alone; Adam's first step has the size of the learning rate, whatever its gradient's
    assert float(weight.weight.detach()) == pytest.approx(0.5)


def test_constant():
    schedule = SchedulePart(name="constant", warmup=1)
    assert [learning_rate(i, 3, 1.0, schedule) for i in range(3)] == [0.5, 1.0, 1.0]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_only_tensors_with_two_axes_decay(name):
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    for parameter in module.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(module, OptimizerPart(name=name, learning_rate=0.5, weight_decay=0.5)).step()
    assert torch.equal(module[0].weight, torch.full((2, 2), 0.75))  # 1 - 0.5·0.5
    assert torch.equal(module[0].bias, torch.ones(2))
    assert torch.equal(module[1].weight, torch.ones(2))
