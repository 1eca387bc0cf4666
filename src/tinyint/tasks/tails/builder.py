"""Builder of postprocessing graphs.

Their operators are the same in all operator sets from 11 on, so that a tail fits any model.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from tinyint.numbers.numerics import Array

__all__ = ["PREFIX", "Tail", "TailBuilder"]

PREFIX = "postprocess/"
"""Prefix of the names of all nodes and values in a tail, except its inputs and outputs."""

_OPSET, _IR_VERSION = 13, 8


class Tail(NamedTuple):
    """Graph that follows a network, with its kind: "softmax", "boxes", …

    Each kind has its own names of outputs.
    """

    graph: ir.Model
    kind: str


class TailBuilder:
    """Builder of a tail, whose nodes and constants have names with `PREFIX`."""

    def __init__(self) -> None:
        self._tape = ir.tape.Tape()
        self._inputs: list[ir.Value] = []

    def input(self, name: str, *shape: str | int) -> ir.Value:
        value = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
        self._inputs.append(value)
        return value

    def constant(self, value: Any, dtype: type[np.generic]) -> ir.Value:
        name = f"{PREFIX}constant_{len(self._tape.initializers)}"
        return self._tape.initializer(ir.tensor(np.asarray(value, dtype), name=name))

    def op(self, op_type: str, *inputs: ir.Value, **attributes: Any) -> ir.Value:
        name = f"{PREFIX}{op_type}_{len(self._tape.nodes)}"
        value = self._tape.op(op_type, inputs, attributes, name=name)
        value.name = name
        return value

    def ints(self, *numbers: int) -> ir.Value:
        return self.constant(numbers, np.int64)

    def floats(self, values: Array | float) -> ir.Value:
        return self.constant(values, np.float32)

    def part(self, value: ir.Value, axis: int, start: int, stop: int) -> ir.Value:
        return self.op("Slice", value, self.ints(start), self.ints(stop), self.ints(axis))

    def model(self, **outputs: tuple[ir.Value, ir.DataType, tuple[str | int, ...]]) -> ir.Model:
        for name, (value, dtype, shape) in outputs.items():
            value.name, value.shape, value.type = name, ir.Shape(shape), ir.TensorType(dtype)
        graph = ir.Graph(
            self._inputs,
            [value for value, _, _ in outputs.values()],
            nodes=self._tape.nodes,
            initializers=self._tape.initializers,
            opset_imports={"": _OPSET},
            name="postprocess",
        )
        return ir.Model(graph, ir_version=_IR_VERSION)
