"""ONNX graph as a list of steps, one tensor function per node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import onnx_ir as ir
import torch
from torch import Tensor

from tinyint.errors import ModelError
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of
from tinyint.torch_graph.operators import NUMBERS, OPERATORS, Function, Node

__all__ = ["Program", "Step", "StepFunction", "compile_graph"]

_CPU = torch.device("cpu")

StepFunction: TypeAlias = Callable[[list[Any]], tuple[Any, ...]]
"""Function of tensors; an omitted input is None, a value computed from shapes a number or a list of numbers
(`operators.numbers`)."""


@dataclass(frozen=True)
class Step:
    """Node of the graph in a form that runs.

    * `inputs`: names of values; None for one that is omitted, or that is a constant of `function`
    * `outputs`: names of values; "" for an unused output
    """

    name: str
    function: StepFunction
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in the order in which they run.

    `released`: values of each step that no later step needs.
    """

    steps: tuple[Step, ...]
    released: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, steps: Iterable[Step], outputs: Sequence[str]) -> Self:
        """Program whose results are the values of these names."""
        steps = tuple(steps)
        used_later = set(outputs)
        released = []
        for step in reversed(steps):
            names = {name for name in (*step.inputs, *step.outputs) if name}
            released.append(tuple(sorted(names - used_later)))
            used_later |= names
        return cls(steps, tuple(reversed(released)))

    def run(self, values: dict[str, Any]) -> None:
        """Runs the steps on `values`, in place; drops each value after its last use."""
        for step, released in zip(self.steps, self.released, strict=True):
            inputs = [None if name is None else values[name] for name in step.inputs]
            results = step.function(inputs)
            del inputs
            values.update(zip(step.outputs, results, strict=False))
            del results
            for name in released:
                values.pop(name, None)


def compile_graph(graph: ir.Graph) -> list[Step]:
    """One step per node that an output depends on, except Constant nodes.

    Raises ModelError if an operator, or a form of it, cannot be trained; all operators without a row are named.
    """
    nodes = _needed_nodes(graph)
    _check(nodes)
    opset = graph.opset_imports.get("", 1)
    numbers = _number_nodes(graph, nodes, opset)
    return [_step(node, opset, in_numbers=node in numbers) for node in nodes if node.op_type != "Constant"]


def _needed_nodes(graph: ir.Graph) -> list[ir.Node]:
    """Nodes that an output depends on, in order."""
    needed_values = set(graph.outputs)
    nodes = []
    for node in reversed(list(graph)):
        if needed_values.intersection(node.outputs):
            needed_values.update(value for value in node.inputs if value is not None)
            nodes.append(node)
    return nodes[::-1]


def _check(nodes: Sequence[ir.Node]) -> None:
    missing: dict[str, list[str]] = {}
    for node in nodes:
        is_supported = node.op_type in OPERATORS and node.domain in ("", "ai.onnx")
        if not is_supported and node.op_type != "Constant":
            name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            missing.setdefault(name, []).append(node.name or "unnamed")
    if missing:
        listed = "; ".join(
            f"{op} ({len(names)}×, first {names[0]!r})" for op, names in sorted(missing.items())
        )
        raise ModelError(
            f"the graph cannot be trained, because these operators are not supported in training: {listed}. "
            "Export the model without them, or split it before the first one"
        )


def _number_nodes(graph: ir.Graph, nodes: Sequence[ir.Node], opset: int) -> set[ir.Node]:
    """Nodes that compute integers from shapes and constants only, and so run on Python numbers."""
    ranks: dict[ir.Value, int] = {}
    outputs = set(graph.outputs)
    number_nodes = set()
    for node in nodes:
        row = NUMBERS.get(node.op_type)
        if row is None or outputs.intersection(node.outputs):
            continue
        shaped = node.op_type in ("Shape", "Size")
        input_ranks = [1] if shaped else [_rank(value, ranks) for value in node.inputs]
        if any(rank is None for rank in input_ranks) or not input_ranks:
            continue
        rank = row.rank(Node(node, opset), [rank for rank in input_ranks if rank is not None])
        if rank is not None:
            number_nodes.add(node)
            ranks[node.outputs[0]] = rank
    return number_nodes


def _rank(value: ir.Value | None, ranks: dict[ir.Value, int]) -> int | None:
    """Rank of a value that is kept as Python numbers, which includes integer constants.

    None for a tensor.
    """
    if value is None or value in ranks:
        return 0 if value is None else ranks[value]
    array = constant_of(value)
    return array.ndim if array is not None and array.dtype.kind in "ib" and array.ndim < 2 else None


def _step(node: ir.Node, opset: int, *, in_numbers: bool) -> Step:
    view = Node(node, opset)
    outputs = tuple(name_of(value) for value in node.outputs)
    name = node.name or node.op_type
    if in_numbers:
        arrays = [constant_of(value) for value in node.inputs]
        constants = [None if array is None else array.tolist() for array in arrays]
        names = tuple(
            None if value is None or constant is not None else value.name
            for value, constant in zip(node.inputs, constants, strict=True)
        )
        return Step(name, _on_numbers(NUMBERS[node.op_type].make(view), constants), names, outputs)
    function = OPERATORS[node.op_type](view)
    inputs = tuple(None if v is None or i in view.baked else v.name for i, v in enumerate(node.inputs))
    return Step(name, _on_tensors(function, frozenset(view.numbers)), inputs, outputs)


def _on_numbers(function: Callable[..., Any], constants: Sequence[Any]) -> StepFunction:
    """Step function with these constants as inputs; None for an input that is not constant."""

    def call(inputs: list[Any]) -> tuple[Any, ...]:
        pairs = zip(inputs, constants, strict=True)
        return (function(*(value if constant is None else constant for value, constant in pairs)),)

    return call


def _on_tensors(function: Function, numbers: frozenset[int]) -> StepFunction:
    """Step function with all inputs as tensors on one device, except those that are `numbers`."""

    def call(inputs: list[Any]) -> tuple[Any, ...]:
        result = function(*_on_one_device(inputs, numbers))
        return result if isinstance(result, tuple) else (result,)

    return call


def _on_one_device(inputs: list[Any], numbers: frozenset[int]) -> list[Any]:
    """Inputs, with those that were computed from shapes as tensors on the data's device."""
    data = [x for i, x in enumerate(inputs) if x is not None and i not in numbers]
    if all(isinstance(x, Tensor) and x.device == _CPU for x in data):
        return inputs
    device = next((x.device for x in data if isinstance(x, Tensor) and x.device != _CPU), _CPU)
    return [x if x is None or i in numbers else _tensor(x, device) for i, x in enumerate(inputs)]


def _tensor(x: Any, device: torch.device) -> Tensor:
    if isinstance(x, Tensor):
        return x.to(device)
    first = (x[0] if x else 0) if isinstance(x, list) else x
    return torch.tensor(x, dtype=torch.bool if isinstance(first, bool) else torch.int64, device=device)
