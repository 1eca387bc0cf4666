"""Operators that gather, scatter and search by index."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.elementwise import WIDE
from tinyint.torch_graph.operators.node import Function, Maker, Node, plain

__all__ = ["OPERATORS"]

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _gather(node: Node) -> Function:
    axis = node.integer("axis")

    def gather(x: Tensor, index: Tensor) -> Tensor:
        along = axis % x.dim()
        index = torch.where(index < 0, index + x.shape[along], index)
        rows = x.index_select(along, index.reshape(-1))
        return rows.reshape([*x.shape[:along], *index.shape, *x.shape[along + 1 :]])

    return gather


def _gather_elements(node: Node) -> Function:
    axis = node.integer("axis")
    return lambda x, index: torch.gather(x, axis, _positive(index, x.shape[axis]))


def _positive(index: Tensor, size: int) -> Tensor:
    index = index.long()
    return torch.where(index < 0, index + size, index)


def _gather_nd(node: Node) -> Function:
    batch = node.integer("batch_dims")

    def gather_nd(x: Tensor, index: Tensor) -> Tensor:
        rows = x.shape[:batch]
        flat, indices = x.reshape(-1, *x.shape[batch:]), index.reshape(-1, *index.shape[batch:]).long()
        row = torch.arange(flat.shape[0], device=x.device).reshape(-1, *[1] * (indices.dim() - 2))
        values = flat[(row.expand(indices.shape[:-1]), *indices.unbind(-1))]
        return values.reshape(*rows, *values.shape[1:])

    return gather_nd


def _scatter_elements(node: Node) -> Function:
    axis, reduction = node.integer("axis"), node.text("reduction", "none")

    def scatter(x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
        indices = _positive(index, x.shape[axis])
        if reduction == "none":
            return x.scatter(axis, indices, updates)
        return x.scatter_reduce(axis, indices, updates, _REDUCTIONS[reduction])

    return scatter


def _scatter_nd(node: Node) -> Function:
    reduction = node.text("reduction", "none")

    def scatter_nd(x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
        depth = index.shape[-1]
        flat = torch.zeros(index.shape[:-1], dtype=torch.int64, device=x.device)
        for i in range(depth):
            flat = flat * x.shape[i] + _positive(index[..., i], x.shape[i])
        rest = x.shape[depth:]
        rows, values = x.reshape(-1, rest.numel()), updates.reshape(-1, rest.numel())
        indices = flat.reshape(-1, 1).expand(values.shape)
        if reduction == "none":
            return rows.scatter(0, indices, values).reshape(x.shape)
        return rows.scatter_reduce(0, indices, values, _REDUCTIONS[reduction]).reshape(x.shape)

    return scatter_nd


def _non_zero(x: Tensor) -> Tensor:
    return torch.nonzero(x).t()


def _top_k(node: Node) -> Function:
    axis, largest = node.integer("axis", -1), bool(node.integer("largest", 1))
    counts, fixed = node.reader(1), node.integer("k")

    def top_k(x: Tensor, k: Tensor | None = None) -> tuple[Tensor, Tensor]:
        count = (counts(k) or [fixed])[0]
        # The sort is stable, because of equal numbers the one with the lower index comes first.
        keys = x.to(torch.int64) if x.dtype in WIDE else x
        order = torch.sort(keys, dim=axis, descending=largest, stable=True).indices.narrow(axis, 0, count)
        return keys.gather(axis, order).to(x.dtype), order

    return top_k


def _arg(function: Callable[..., Tensor]) -> Maker:
    def make(node: Node) -> Function:
        axis, keep, last = (
            node.integer("axis"),
            bool(node.integer("keepdims", 1)),
            bool(node.integer("select_last_index")),
        )

        def arg(x: Tensor) -> Tensor:
            if not last:
                return function(x, axis, keepdim=keep)
            return x.shape[axis] - 1 - function(x.flip(axis), axis, keepdim=keep)

        return arg

    return make


def _one_hot(node: Node) -> Function:
    axis, depths = node.integer("axis", -1), node.reader(1)

    def one_hot(index: Tensor, depth: Tensor | None, values: Tensor) -> Tensor:
        number = depths(depth)
        count = int(number[0] if isinstance(number, list) else number)
        hot = functional.one_hot(_positive(index, count).clamp(0, count - 1), count).bool()
        hot = hot & ((index >= -count) & (index < count))[..., None]
        along = axis if axis >= 0 else axis + hot.dim()
        return torch.where(hot.movedim(-1, along), values[1], values[0])

    return one_hot


def _compress(node: Node) -> Function:
    axis = node.integer("axis") if node.has("axis") else None

    def compress(x: Tensor, condition: Tensor) -> Tensor:
        x = x.reshape(-1) if axis is None else x
        return x.index_select(axis or 0, torch.nonzero(condition)[:, 0])

    return compress


def _reverse_sequence(node: Node) -> Function:
    batch, time = node.integer("batch_axis", 1), node.integer("time_axis", 0)

    def reverse(x: Tensor, lengths: Tensor) -> Tensor:
        x = x.movedim((batch, time), (0, 1))
        step, ends = torch.arange(x.shape[1], device=x.device), lengths[:, None]
        indices = torch.where(step < ends, ends - 1 - step, step)
        rows = torch.arange(x.shape[0], device=x.device)[:, None]
        return x[rows, indices].movedim((0, 1), (batch, time))

    return reverse


OPERATORS: dict[str, Maker] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "NonZero": plain(_non_zero),
    "TopK": _top_k,
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "OneHot": _one_hot,
    "Compress": _compress,
    "ReverseSequence": _reverse_sequence,
}
