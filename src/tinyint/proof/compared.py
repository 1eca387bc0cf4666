"""All outputs of a model, summed up over samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import onnx_ir as ir

from tinyint.graph.flow import range_source
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import Array
from tinyint.proof.outputs import NOTHING, OutputSums
from tinyint.proof.rows import selections

__all__ = ["Compared"]


@dataclass(kw_only=True)
class Compared:
    """Sums over outputs, with their LSB and row selection.

    `steps`: the LSB of the outputs that a quantizer sets it for; `selected`: outputs whose rows are a selection.
    """

    steps: Mapping[str, float]
    selected: frozenset[str]
    samples: int = 0
    outputs: dict[str, OutputSums] = field(default_factory=dict)

    @classmethod
    def of(cls, int8_graph: ir.Graph) -> Self:
        return cls(steps=_steps(int8_graph), selected=selections(int8_graph))

    def add(
        self,
        expected: Mapping[str, Array],
        actual: Mapping[str, Array],
        simulated: Mapping[str, Array] | None,
    ) -> None:
        """Adds one sample; `simulated` is None where the simulation itself ran."""
        for name, ours in expected.items():
            output = self.outputs.get(name)
            if output is None:
                output = OutputSums(step=self.steps.get(name), selects=name in self.selected)
                self.outputs[name] = output
            theirs = actual.get(name, NOTHING)
            output.add(ours, theirs, None if simulated is None else simulated.get(name, NOTHING))
        self.samples += 1

    def classifying(self) -> OutputSums | None:
        """The first float output of shape (N, classes)."""
        found = (o for o in self.outputs.values() if o.is_float and not o.selects and o.has_classes)
        return next(found, None)

    def over_1_lsb(self) -> float | None:
        """Share of elements over 1 LSB off the simulation.

        None where none were compared.
        """
        elements = sum(output.compared for output in self.outputs.values())
        return sum(output.over_1() for output in self.outputs.values()) / elements if elements else None


def _steps(graph: ir.Graph) -> dict[str, float]:
    """Scale of each graph output from a quantizer, directly or moved."""
    steps = {}
    for output in graph.outputs:
        producer = range_source(output).producer()
        if producer is not None and producer.op_type == "DequantizeLinear":
            scale = constant_of(producer.inputs[1])
            if scale is not None and scale.size == 1:
                steps[name_of(output)] = float(scale.reshape(()))
    return steps
