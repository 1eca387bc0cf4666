"""Costs of units by hand, on a runtime that says what it takes."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
import pytest

from tests.diagnosis.test_sensitivity import net, quantized, samples
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.unit_costs import UnitCost, unit_costs
from tinyint.diagnosis.units import units_of
from tinyint.graph.source import ModelSource
from tinyint.runtimes import Feeds, get_runtime
from tinyint.runtimes.base import LayerTime


class Profiled:
    """Runtime whose profile of the float graph takes 4 ms in c1 and 1 in c2, that of the int8 model 1 and 3."""

    def profile(self, model: ModelSource, _feeds: Feeds, **_: object) -> Sequence[LayerTime]:
        assert isinstance(model, ir.Model)
        names = {node.name for node in model.graph}
        if "quantize" in names:
            return [self.row("quantize", 2.0), self.row("dequantize", 1.0)]
        int8 = any(node.op_type == "QuantizeLinear" for node in model.graph)
        c1, relu, c2 = (1.0, 0.0, 3.0) if int8 else (3.0, 1.0, 1.0)
        return [self.row("c1", c1, "relu"), self.row("relu", relu), self.row("c2", c2)]

    def row(self, name: str, ms: float, *more: str) -> LayerTime:
        return LayerTime(name=name, op="", precision="", detail="", ms=ms, sources=(name, *more))


def test_costs_are_differences_of_profiles_with_conversions() -> None:
    model = net()
    matched = Matched.of(model, quantized(model))
    units = units_of(matched)
    elements = 1 << 18
    sizes = {"x": elements, "b": elements, "d": elements}
    found = unit_costs(matched, units, Profiled(), samples()[0].inputs, sizes)  # type: ignore[arg-type]
    by_name = {unit.name: cost for unit, cost in found.items()}
    # c1 alone reads the input, whose quantizer goes (-2), and writes b, which int8 units read (+2)
    assert by_name["c1"] == UnitCost(float_ms=4.0, int8_ms=1.0, conversions_ms=pytest.approx(0.0))
    assert by_name["c1"].in_float_ms == pytest.approx(3.0)
    # c2 reads b, which c1 makes in int8 (+1), and writes d (+2)
    assert by_name["c2"].in_float_ms == pytest.approx(1.0 - 3.0 + 3.0)


def test_every_unit_has_a_cost_on_the_real_runtime() -> None:
    model = net()
    matched = Matched.of(model, quantized(model))
    units = units_of(matched)
    found = unit_costs(matched, units, get_runtime("onnxruntime"), samples()[0].inputs, {}, threads=1)
    assert set(found) == set(units)
    assert found[units[0]].float_ms > 0
    assert found[units[0]].int8_ms > 0
