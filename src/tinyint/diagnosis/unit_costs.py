"""Time of each unit in int8 and in float, from the runtime's profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tinyint.diagnosis.layer_times import spent_by
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.units import Unit, by_node
from tinyint.graph.edit import GraphEditor
from tinyint.graph.flow import range_source
from tinyint.graph.names import name_of
from tinyint.runtimes import Feeds, Runtime

__all__ = ["UnitCost", "unit_costs"]

_FLOAT, _CODE = ir.DataType.FLOAT, ir.DataType.UINT8
_ROUNDS, _CALLS = 2, 5
_CONVERTED = 1 << 18
"""Elements whose conversion is timed; the time of others is in proportion."""


@dataclass(frozen=True, kw_only=True)
class UnitCost:
    """Milliseconds of a call that go into one unit.

    * `float_ms`, `int8_ms`: of its nodes, in the profiles of the float graph and of the int8 model; the lower of two
      medians. What the runtime fuses into another unit counts there
    * `conversions_ms`: what more conversions take if it alone is in float: those of its neighbours' results that it
      reads, and of its own for them, less those that fall away. In proportion to size, from one that was measured
    """

    float_ms: float
    int8_ms: float
    conversions_ms: float

    @property
    def in_float_ms(self) -> float:
        """Milliseconds by which the unit alone in float makes a call longer."""
        return self.float_ms - self.int8_ms + self.conversions_ms


def unit_costs(
    matched: Matched,
    units: tuple[Unit, ...],
    runtime: Runtime,
    feeds: Feeds,
    sizes: Mapping[str, int],
    *,
    threads: int | None = None,
) -> dict[Unit, UnitCost]:
    """Costs by unit, from profiles of both models in turn.

    `sizes`: elements of each tensor. Raises what the runtime raises.
    """
    owner = {node: unit.name for node, unit in by_node(units).items()}
    spent = {"float": dict[str, float](), "int8": dict[str, float]()}
    for _ in range(_ROUNDS):
        for form, model in (("float", matched.prepared), ("int8", matched.int8)):
            rows = runtime.profile(model, feeds, calls=_CALLS, threads=threads)
            found = spent_by(rows, owner)
            spent[form] = {name: min(ms, spent[form].get(name, ms)) for name, ms in found.items()}
    conversion = _Conversions.measured(runtime, threads)
    borders = _Borders.of(matched.prepared.graph, units)
    return {
        unit: UnitCost(
            float_ms=spent["float"].get(unit.name, 0.0),
            int8_ms=spent["int8"].get(unit.name, 0.0),
            conversions_ms=borders.conversions_ms(unit, sizes, conversion),
        )
        for unit in units
    }


@dataclass(frozen=True, kw_only=True)
class _Conversions:
    """Milliseconds per element, to codes and back."""

    quantize: float
    dequantize: float

    @classmethod
    def measured(cls, runtime: Runtime, threads: int | None) -> _Conversions:
        shape = ir.Shape([1, _CONVERTED])
        inputs = [
            ir.Value(name=name, type=ir.TensorType(dtype), shape=shape)
            for name, dtype in (("values", _FLOAT), ("codes", _CODE))
        ]
        graph = ir.Graph(inputs, [], nodes=[], opset_imports={"": 17}, name="conversions")
        editor = GraphEditor(graph)
        step = [
            editor.constant("scale", np.array(0.02, np.float32)),
            editor.constant("zero", np.array(128, np.uint8)),
        ]
        spent = {"quantize": 0.0, "dequantize": 0.0}
        for name, value, dtype in (("quantize", inputs[0], _CODE), ("dequantize", inputs[1], _FLOAT)):
            output = editor.node(f"{name.title()}Linear", [value, *step], name)
            output.type, output.shape = ir.TensorType(dtype), shape
            graph.outputs.append(output)
        random = np.random.default_rng(0)
        feeds: Feeds = {
            "values": random.normal(size=(1, _CONVERTED)).astype(np.float32),
            "codes": random.integers(0, 256, (1, _CONVERTED)).astype(np.uint8),
        }
        rows = runtime.profile(ir.Model(graph, ir_version=8), feeds, calls=_CALLS, threads=threads)
        for row in rows:
            for name in {row.name, *row.sources} & spent.keys():
                spent[name] += row.ms
        return cls(quantize=spent["quantize"] / _CONVERTED, dequantize=spent["dequantize"] / _CONVERTED)


@dataclass(frozen=True, kw_only=True)
class _Borders:
    """Units that make and read each tensor in 8 bits; values that are only moved count as their source."""

    source: Mapping[str, str]
    made_by: Mapping[str, Unit]
    readers: Mapping[str, set[Unit]]

    @classmethod
    def of(cls, graph: ir.Graph, units: tuple[Unit, ...]) -> _Borders:
        values = {name_of(out): out for node in graph for out in node.outputs}
        source = {name: name_of(range_source(value)) for name, value in values.items()}
        readers: dict[str, set[Unit]] = {}
        for unit in units:
            for name in unit.inputs:
                readers.setdefault(source.get(name, name), set()).add(unit)
        return cls(source=source, made_by={unit.output: unit for unit in units}, readers=readers)

    def conversions_ms(self, unit: Unit, sizes: Mapping[str, int], by: _Conversions) -> float:
        """Milliseconds of the conversions that come, less those that go, if the unit is in float."""
        total = 0.0
        for name in unit.inputs:
            origin, size = self.source.get(name, name), sizes.get(name, 0)
            if origin in self.made_by:
                total += size * by.dequantize
            elif self.readers[origin] == {unit}:
                total -= size * by.quantize
        if unit.rounds_output:
            size = sizes.get(unit.output, 0)
            total += size * by.quantize if self.readers.get(unit.output) else -size * by.dequantize
        return total
