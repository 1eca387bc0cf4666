"""Nodes, constants and outputs that calibration adds to a float graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of

__all__ = ["GraphBuilder"]


class GraphBuilder:
    """Appends nodes and shared constants to a graph, and collects its new outputs.

    `joined` holds the parts of each output that many tensors share, with the number of columns that they take.
    """

    def __init__(self, model: ir.Model) -> None:
        self._graph, self._editor = model.graph, GraphEditor(model.graph)
        self._opset = model.opset_imports.get("", 17)
        self._constants: dict[str, ir.Value] = {}
        self._count = 0
        self._joined: dict[str, tuple[list[ir.Value], int]] = {}
        self._outputs: dict[str, ir.Value] = {}

    def node(
        self, op_type: str, inputs: list[ir.Value], **attributes: int | list[int] | ir.DataType
    ) -> ir.Value:
        self._count += 1
        return self._editor.node(op_type, inputs, f"tinyint/{op_type}_{self._count}", attributes)

    def reduce(self, op_type: str, rows: ir.Value, axis: int = 1) -> ir.Value:
        """Reduction over `axis`: of rows (N, any), (N, 1)."""
        if self._opset < 18 and op_type != "ReduceSum":
            return self.node(op_type, [rows], axes=[axis])
        return self.node(op_type, [rows, self.integers(axis)])

    def output(self, value: ir.Value) -> str:
        """The name of the value, which leaves the graph."""
        self._outputs[name_of(value)] = value
        return name_of(value)

    def joined(self, output: str, value: ir.Value, columns: int = 1) -> int:
        """First of the output's columns (axis 1) that the value takes."""
        parts, start = self._joined.get(output, ([], 0))
        self._joined[output] = [*parts, value], start + columns
        return start

    def finish(self) -> dict[str, str]:
        """Makes the collected values outputs of the graph; returns the joined names."""
        names = {
            name: self.output(self.node("Concat", parts, axis=1)) for name, (parts, _) in self._joined.items()
        }
        self._graph.outputs.clear()
        self._graph.outputs.extend(self._outputs.values())
        return names

    def integers(self, *numbers: int) -> ir.Value:
        return self._constant(np.array(numbers, np.int64))

    def integer(self, number: int) -> ir.Value:
        return self._constant(np.int64(number))

    def number(self, number: float) -> ir.Value:
        return self._constant(np.float32(number))

    def minus_ones(self, channels: int) -> ir.Value:
        return self._constant(np.full((channels, 1, 1, 1), -1, np.float32))

    def array(self, name: str, array: np.ndarray) -> ir.Value:
        """Constant that those who ask for the same name share."""
        if name not in self._constants:
            self._constants[name] = self._editor.constant(f"tinyint/{name}", array)
        return self._constants[name]

    def _constant(self, array: np.ndarray | np.generic) -> ir.Value:
        array = np.asarray(array)
        name = f"tinyint/{array.dtype}{array.shape}{array.ravel()[:8].tolist()}"
        if name not in self._constants:
            self._constants[name] = self._editor.constant(name, array)
        return self._constants[name]
