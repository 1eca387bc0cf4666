"""ONNX graph as a list of steps, one tensor function per node.

In the order in which they run.
"""

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
"""Takes and returns tensors; None for an input that is left out; a number or a list of them for what is computed from
shapes (`operators.numbers`)."""


@dataclass(frozen=True)
class Step:
    """One node of the graph, ready to run.

    * `inputs`: names of values, None for an input that is left out or that `function` already holds
    * `outputs`: names of values; an empty name is an output that nobody reads
    """

    name: str
    function: StepFunction
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in the order in which they run.

    * `released`: for each, the values that nothing needs any more after it
    """

    steps: tuple[Step, ...]
    released: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, steps: Iterable[Step], outputs: Sequence[str]) -> Self:
        """The program that ends with the values of these names."""
        steps = tuple(steps)
        seen = set(outputs)
        released = []
        for step in reversed(steps):
            names = {name for name in (*step.inputs, *step.outputs) if name}
            released.append(tuple(sorted(names - seen)))
            seen |= names
        return cls(steps, tuple(reversed(released)))

    def run(self, values: dict[str, Any]) -> None:
        """Runs the steps on `values`, and drops those released."""
        for step, released in zip(self.steps, self.released, strict=True):
            inputs = [None if name is None else values[name] for name in step.inputs]
            results = step.function(inputs)
            del inputs
            values.update(zip(step.outputs, results, strict=False))
            del results
            for name in released:
                values.pop(name, None)


def compile_graph(graph: ir.Graph) -> list[Step]:
    """One step per node that an output depends on.

    Constant nodes are values, not steps.

    Raises:
        ModelError: an operator, or a form of it, cannot be trained; every one that has no row is named.
    """
    nodes = _needed(graph)
    _check(nodes)
    opset = graph.opset_imports.get("", 1)
    numbers = _in_numbers(graph, nodes, opset)
    return [_step(node, opset, in_numbers=node in numbers) for node in nodes if node.op_type != "Constant"]


def _needed(graph: ir.Graph) -> list[ir.Node]:
    """The nodes that an output depends on, in order."""
    wanted = set(graph.outputs)
    kept = []
    for node in reversed(list(graph)):
        if wanted.intersection(node.outputs):
            wanted.update(value for value in node.inputs if value is not None)
            kept.append(node)
    return kept[::-1]


def _check(nodes: Sequence[ir.Node]) -> None:
    missing: dict[str, list[str]] = {}
    for node in nodes:
        known = node.op_type in OPERATORS and node.domain in ("", "ai.onnx")
        if not known and node.op_type != "Constant":
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


def _in_numbers(graph: ir.Graph, nodes: Sequence[ir.Node], opset: int) -> set[ir.Node]:
    """The nodes that compute integers from shapes and constants alone, and so run on Python numbers."""
    ranks: dict[ir.Value, int] = {}
    outputs = set(graph.outputs)
    found = set()
    for node in nodes:
        row = NUMBERS.get(node.op_type)
        if row is None or outputs.intersection(node.outputs):
            continue
        known = [1] if node.op_type in ("Shape", "Size") else [_rank(value, ranks) for value in node.inputs]
        if any(rank is None for rank in known) or not known:
            continue
        rank = row.rank(Node(node, opset), [rank for rank in known if rank is not None])
        if rank is not None:
            found.add(node)
            ranks[node.outputs[0]] = rank
    return found


def _rank(value: ir.Value | None, ranks: dict[ir.Value, int]) -> int | None:
    """The dimensions of a value in numbers, which a constant of integers may be as well; None for a tensor."""
    if value is None or value in ranks:
        return 0 if value is None else ranks[value]
    array = constant_of(value)
    return array.ndim if array is not None and array.dtype.kind in "ib" and array.ndim < 2 else None


def _step(node: ir.Node, opset: int, *, in_numbers: bool) -> Step:
    view = Node(node, opset)
    outputs = tuple(name_of(value) for value in node.outputs)
    name = node.name or node.op_type
    if in_numbers:
        held = [None if (array := constant_of(value)) is None else array.tolist() for value in node.inputs]
        names = tuple(
            None if value is None or n is not None else value.name
            for value, n in zip(node.inputs, held, strict=True)
        )
        return Step(name, _on_numbers(NUMBERS[node.op_type].make(view), held), names, outputs)
    function = OPERATORS[node.op_type](view)
    inputs = tuple(None if v is None or i in view.baked else v.name for i, v in enumerate(node.inputs))
    return Step(name, _on_tensors(function, frozenset(view.numbers)), inputs, outputs)


def _on_numbers(function: Callable[..., Any], held: Sequence[Any]) -> StepFunction:
    """`function` with the constants that it holds."""

    def call(inputs: list[Any]) -> tuple[Any, ...]:
        return (
            function(*(given if kept is None else kept for given, kept in zip(inputs, held, strict=True))),
        )

    return call


def _on_tensors(function: Function, numbers: frozenset[int]) -> StepFunction:
    """`function` with tensor inputs on one device, but for its number inputs."""

    def call(inputs: list[Any]) -> tuple[Any, ...]:
        result = function(*_together(inputs, numbers))
        return result if isinstance(result, tuple) else (result,)

    return call


def _together(inputs: list[Any], numbers: frozenset[int]) -> list[Any]:
    """What was computed from shapes joins the data on their device."""
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
