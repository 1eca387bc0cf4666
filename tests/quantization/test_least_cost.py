"""Int8 where it saves more than its conversions cost; the costs are by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations

import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.models import residual
from tinyint.graph.names import name_of
from tinyint.graph.prepare import prepare
from tinyint.quantization.least_cost import least_cost
from tinyint.quantization.plan import Plan, plan
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target
from tinyint.targets.costs import Costs, Line

TARGET = get_target("generic")
FREE = Line(fixed=0.0, each=0.0)
NAMES = ("first", "deep", "last")


def at(microseconds: float) -> Line:
    return Line(fixed=microseconds, each=0.0)


def costs(quantize: float = 0.0, dequantize: float = 0.0, **kernels: tuple[float, float]) -> Costs:
    return Costs(
        target="", processor="", version="", quantize=at(quantize), dequantize=at(dequantize),
        kernels={kind: (at(in_float), at(in_int8)) for kind, (in_float, in_int8) in kernels.items()},
    )  # fmt: skip


def three() -> ir.Model:
    """Pointwise → depthwise → pointwise, with clamps between them."""
    return prepare(
        build(
            "g (float[1,4,8,8] x) => (float[1,4,8,8] y) { [first] a = Conv (x, w) [r1] b = Relu (a) "
            "[deep] c = Conv <group = 4> (b, d) [r2] e = Relu (c) [last] y = Conv (e, v) }",
            w=(4, 4, 1, 1),
            d=(4, 1, 1, 1),
            v=(4, 4, 1, 1),
        )
    )


def planned(model: ir.Model) -> Plan:
    return plan(model, TARGET, Recipe.load("default"))


def held(**given: object) -> set[str]:
    model = three()
    return set(least_cost(model, planned(model), TARGET, costs(**given))) & set(NAMES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("conversion", "expected"),
    [
        (0.5, {"deep"}),  # 5 µs are lost in int8, and two conversions cost 1
        (2.4, {"deep"}),
        (2.6, set()),  # now they cost 5.2
        (7.4, set()),
        (7.6, set(NAMES)),  # at both ends 15.2, and int8 saves 2 · 10 - 5
    ],
)
def test_a_slow_kernel_between_fast_ones(conversion: float, expected: set[str]) -> None:
    table = {"pointwise": (20.0, 10.0), "depthwise": (5.0, 10.0)}
    assert held(quantize=conversion, dequantize=conversion, **table) == expected


def test_clamps_go_with_their_operators() -> None:
    model = three()
    found = least_cost(model, planned(model), TARGET, costs(pointwise=(20.0, 10.0), depthwise=(5.0, 10.0)))
    assert found == {"deep", "r2"}


def test_what_is_measured_goes_before_the_table() -> None:
    model = three()
    table = costs(pointwise=(20.0, 10.0), depthwise=(5.0, 10.0))
    assert not least_cost(model, planned(model), TARGET, table, {"deep": (10.0, 5.0)})


def test_costs_grow_with_multiply_adds() -> None:
    """64 places · 16 products of the pointwise one, 64 · 4 of the depthwise one."""
    model, lines = three(), {"pointwise": (Line(fixed=0.0, each=2.0), Line(fixed=0.0, each=1.0))}
    table = replace(costs(quantize=1.0, dequantize=1.0), kernels=lines)
    assert least_cost(model, planned(model), TARGET, table) == frozenset()  # saves 2 · 1.024
    slower = {"pointwise": (Line(fixed=0.0, each=1.97), Line(fixed=0.0, each=1.0))}
    assert least_cost(model, planned(model), TARGET, replace(table, kernels=slower)) >= {"first", "last"}


def test_one_conversion_serves_all_readers() -> None:
    model = prepare(
        build(
            "g (float[1,4,8,8] x) => (float[1,4,8,8] y, float[1,4,8,8] z) "
            "{ [one] y = Conv (x, w) [two] z = Conv (x, v) }",
            w=(4, 4, 1, 1),
            v=(4, 4, 1, 1),
        )
    )
    table = costs(quantize=3.0, dequantize=0.0, pointwise=(4.0, 2.0))
    assert least_cost(model, planned(model), TARGET, table) == frozenset()


def cost_of(model: ir.Model, held: set[str], table: Costs) -> float:
    """The cost by its definition, of the residual network; its end takes codes and gives floats for nothing."""
    nodes = {name_of(node): node for node in model.graph}
    kinds = {"conv1": "spatial", "conv2": "spatial", "conv3": "pointwise", "add": "Add"}
    total = sum(table.kernels[kind][name not in held](0) for name, kind in kinds.items())
    for name, readers in {
        "": ["conv1"],
        "relu1": ["conv2", "add"],
        "relu2": ["conv3"],
        "conv3": ["add"],
    }.items():
        made = bool(name) and name.replace("relu", "conv") not in held
        total += table.quantize(0) if not made and any(r not in held for r in readers) else 0
        total += table.dequantize(0) if made and any(r in held for r in readers) else 0
    assert set(kinds) <= set(nodes)
    return total


@pytest.mark.parametrize("spatial", [(9.0, 3.0), (5.0, 4.0), (3.0, 4.0)])
@pytest.mark.parametrize("adding", [(1.0, 1.5), (2.0, 1.0), (1.0, 6.0)])
@pytest.mark.parametrize("conversion", [0.3, 1.1, 2.7])
def test_no_other_placement_costs_less(
    spatial: tuple[float, float], adding: tuple[float, float], conversion: float
) -> None:
    model = residual()
    table = costs(conversion, conversion * 0.9, spatial=spatial, pointwise=(4.0, 2.5), Add=adding)
    free = ("conv1", "conv2", "conv3", "add")
    every = [set(some) for some in chain.from_iterable(combinations(free, n) for n in range(5))]
    found = set(least_cost(model, planned(model), TARGET, table))
    assert cost_of(model, found & set(free), table) == pytest.approx(
        min(cost_of(model, e, table) for e in every)
    )
