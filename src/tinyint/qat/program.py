"""An ONNX graph as a list of steps: one function of tensors a node, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import onnx_ir as ir
import torch
from torch import Tensor

from tinyint.errors import ModelError
from tinyint.graph.walk import constant_of
from tinyint.qat.operators import OPERATORS, Function, Node, to_tensor

__all__ = ["Step", "StepFunction", "compile_graph"]

_CPU = torch.device("cpu")

StepFunction: TypeAlias = Callable[[list[Tensor | None]], tuple[Tensor, ...]]


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


def compile_graph(graph: ir.Graph) -> list[Step]:
    """One step for each node that an output depends on; Constant nodes are values, not steps.

    Raises:
        ModelError: an operator, or a form of it, cannot be trained; every one that has no row is named.
    """
    nodes = _needed(graph)
    _check(nodes)
    opset = graph.opset_imports.get("", 1)
    host = _host_values(nodes)
    return [_step(node, opset, host) for node in nodes if node.op_type != "Constant"]


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
            f"the graph cannot be trained, because there is no gradient for: {listed}. "
            "Export the model without them, or split it before the first one"
        )


def _host_values(nodes: Sequence[ir.Node]) -> set[ir.Value]:
    """Values that are computed from shapes and constants alone. They stay on the CPU, so that no step waits for the
    device to learn a shape."""
    host: set[ir.Value] = set()
    for node in nodes:
        computed = [value for value in node.inputs if value is not None and constant_of(value) is None]
        if node.op_type in ("Shape", "Size") or (computed and host.issuperset(computed)):
            host.update(node.outputs)
    return host


def _step(node: ir.Node, opset: int, host: set[ir.Value]) -> Step:
    view = Node(node, opset)
    function = OPERATORS[node.op_type](view)
    on_host = node.outputs[0] in host
    inputs: list[str | None] = []
    held: list[Tensor | None] = []
    for position, value in enumerate(node.inputs):
        array = constant_of(value)
        skip = value is None or position in view.baked
        hold = on_host and array is not None and not skip
        held.append(to_tensor(array) if hold and array is not None else None)
        inputs.append(None if skip or hold or value is None else value.name)
    outputs = tuple(value.name or "" for value in node.outputs)
    call = _caller(function, held, frozenset(view.numbers))
    return Step(node.name or node.op_type, call, tuple(inputs), outputs)


def _caller(function: Function, held: Sequence[Tensor | None], numbers: frozenset[int]) -> StepFunction:
    """`function` with the inputs that it holds, and with all tensors on one device."""
    constants = [(i, tensor) for i, tensor in enumerate(held) if tensor is not None]

    def call(inputs: list[Tensor | None]) -> tuple[Tensor, ...]:
        for i, tensor in constants:
            inputs[i] = tensor
        result = function(*_together(inputs, numbers))
        return result if isinstance(result, tuple) else (result,)

    return call


def _together(inputs: list[Tensor | None], numbers: frozenset[int]) -> list[Tensor | None]:
    """What was computed from shapes joins the data on their device, unless it is read as Python numbers."""
    devices = [x.device for i, x in enumerate(inputs) if x is not None and i not in numbers]
    other = next((device for device in devices if device != _CPU), None)
    if other is None:
        return inputs
    return [x if x is None or i in numbers else x.to(other) for i, x in enumerate(inputs)]
