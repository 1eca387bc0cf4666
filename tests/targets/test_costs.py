"""The table of costs: what it holds for whom."""

from __future__ import annotations

import pytest

from tinyint.targets import TARGETS, get_target
from tinyint.targets.costs import Line, costs_of


def test_a_line_is_of_thousands() -> None:
    assert Line(fixed=2.0, each=3.0)(5_000) == 17.0


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_target_has_costs(target) -> None:
    costs = costs_of(target)
    assert {
        "pointwise",
        "spatial",
        "depthwise",
        "matmul",
        "Add",
        "Mul",
        "Sigmoid",
        "move",
    } <= costs.kernels.keys()
    assert costs.processor
    assert costs.version
    lines = [costs.quantize, costs.dequantize, *(line for pair in costs.kernels.values() for line in pair)]
    assert all(line.fixed >= 0 and line.each > 0 for line in lines)


def test_those_of_a_runtime_stand_in_for_one_another() -> None:
    assert costs_of(get_target("arm64")) == costs_of(get_target("generic"))
    assert costs_of(get_target("openvino-vnni")) != costs_of(get_target("arm64"))
