"""Shape arithmetic in Python numbers: int for rank 0, list for rank 1.

The values that a graph computes from shapes, for reshaping and slicing, need no tensors. As numbers they never wait for
a device, and torch.compile traces them with symbolic sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from tinyint.torch_graph.operators.node import Node

__all__ = ["NUMBERS", "Numbers", "Row"]

Numbers: TypeAlias = Any
"""int, bool, or a list of them."""


@dataclass(frozen=True)
class Row:
    """Operator on numbers.

    * `rank`: function of the node and the ranks of its inputs, for the rank of the output; None if it needs tensors
    * `make`: reads the node and returns the operator's function
    """

    rank: Callable[[Node, Sequence[int]], int | None]
    make: Callable[[Node], Callable[..., Numbers]]


def _each(function: Callable[..., Numbers]) -> Row:
    """Row of a function of numbers, which is applied elementwise to lists that broadcast."""

    def apply(*inputs: Numbers) -> Numbers:
        lists = [x for x in inputs if isinstance(x, list)]
        if not lists:
            return function(*inputs)
        length = next((len(x) for x in lists if len(x) != 1), 1)
        columns = [x if isinstance(x, list) and len(x) == length else _as_list(x) * length for x in inputs]
        return [function(*row) for row in zip(*columns, strict=True)]

    return Row(lambda _, ranks: max(ranks), lambda _: apply)


def _as_list(x: Numbers) -> list[Any]:
    return x if isinstance(x, list) else [x]


def _quotient(a: int, b: int) -> int:
    """Quotient, rounded towards zero."""
    return a // b if (a >= 0) == (b > 0) else -(-a // b)


def _gather(data: list[int], index: Numbers) -> Numbers:
    return [data[i] for i in index] if isinstance(index, list) else data[index]


def _slice(
    data: list[int], starts: list[int], ends: list[int], _: Numbers = None, steps: Numbers = None
) -> list[int]:
    return data[slice(starts[0], ends[0], steps[0] if steps else None)]


def _size(x: torch.Tensor | Numbers) -> Sequence[int]:
    if isinstance(x, torch.Tensor):
        return x.shape
    return [len(x)] if isinstance(x, list) else []


def _shape(node: Node) -> Callable[..., Numbers]:
    start, end = node.integer("start"), node.integer("end") if node.has("end") else None
    return lambda x: list(_size(x)[start:end])


def _product(node: Node) -> Callable[..., Numbers]:
    keep = bool(node.integer("keepdims", 1))
    return lambda x, *_: [math.prod(x)] if keep else math.prod(x)


def _fixed(before: int, after: int, function: Callable[..., Numbers]) -> Row:
    """Row of a function from a first input of rank `before` to rank `after`."""
    return Row(lambda _, ranks: after if ranks[0] == before else None, lambda _: function)


NUMBERS: dict[str, Row] = {
    "Shape": Row(lambda *_: 1, _shape),
    "Size": Row(lambda *_: 0, lambda _: lambda x: math.prod(_size(x))),
    "Gather": Row(lambda _, ranks: ranks[1] if ranks[0] == 1 and ranks[1] < 2 else None, lambda _: _gather),
    "Slice": Row(lambda node, ranks: 1 if ranks[0] == 1 and node.opset >= 10 else None, lambda _: _slice),
    "Concat": Row(lambda *_: 1, lambda _: lambda *inputs: [n for x in inputs for n in x]),
    "Unsqueeze": _fixed(0, 1, lambda x, *_: [x]),
    "Squeeze": _fixed(1, 0, lambda x, *_: x[0]),
    "ReduceProd": Row(
        lambda node, ranks: node.integer("keepdims", 1) if ranks[0] == 1 else None,
        _product,
    ),
    "Cast": Row(
        lambda node, ranks: ranks[0] if node.dtype("to") == torch.int64 else None,
        lambda _: lambda x: [int(n) for n in x] if isinstance(x, list) else int(x),
    ),
    "Identity": _each(lambda x: x),
    "Add": _each(lambda a, b: a + b),
    "Sub": _each(lambda a, b: a - b),
    "Mul": _each(lambda a, b: a * b),
    "Div": _each(_quotient),
    "Max": _each(max),
    "Min": _each(min),
    "Equal": _each(lambda a, b: a == b),
    "Greater": _each(lambda a, b: a > b),
    "Less": _each(lambda a, b: a < b),
    "Where": _each(lambda condition, a, b: a if condition else b),
}
