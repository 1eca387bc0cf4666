"""Reductions over axes, cumulative sums and products, and Einsum."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tinyint.torch_graph.operators.node import Function, Maker, Node, in_single

__all__ = ["OPERATORS"]

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _reduction(function: Reduction, axes_from: int = 18) -> Maker:
    """Maker of a reduction.

    Its axes are an input from opset `axes_from` on, before that an attribute. Without axes, all are reduced.
    """

    def make(node: Node) -> Function:
        keep, skip = bool(node.integer("keepdims", 1)), bool(node.integer("noop_with_empty_axes"))
        fixed = node.integers("axes")
        read = node.reader(1) if node.opset >= axes_from else None

        def reduce(x: Tensor, axes: Tensor | None = None) -> Tensor:
            selection = fixed if read is None else read(axes)
            if not selection:
                selection = [] if skip else list(range(x.dim()))
            return function(x, selection, keep)

        return reduce

    return make


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(axes, keepdim=keep, dtype=x.dtype) if axes else x


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if not axes:
        return x
    if x.is_floating_point():
        return x.mean(axes, keepdim=keep)
    return x.double().mean(axes, keepdim=keep).to(x.dtype)


def _prod(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = x.prod(axis, keepdim=keep, dtype=x.dtype)
    return x


def _extremum(function: Callable[..., Tensor], lowest: bool) -> Reduction:
    def extremum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
        if not axes:
            return x
        if any(x.shape[a] == 0 for a in axes):
            return _sum(x, axes, keep).fill_(_limit(x.dtype, lowest))
        return function(x, axes, keepdim=keep)

    return extremum


def _limit(dtype: torch.dtype, lowest: bool) -> float:
    """Extremum over no elements."""
    if dtype.is_floating_point:
        return float("-inf") if lowest else float("inf")
    if dtype == torch.bool:
        return not lowest
    limits = torch.iinfo(dtype)
    return limits.min if lowest else limits.max


def _l2(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        return torch.linalg.vector_norm(x, 2, dim=axes, keepdim=keep) if axes else x.abs()
    return _sum(x.square(), axes, keep).sqrt().to(x.dtype)


def _log_sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return _sum(in_single(x), axes, keep).log().to(x.dtype)


def _log_sum_exp(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.logsumexp(x, axes, keepdim=keep).to(x.dtype) if axes else x


def _cumulative(function: Callable[[Tensor, int], Tensor], start: int) -> Maker:
    def make(node: Node) -> Function:
        exclusive, reverse, axes = (
            bool(node.integer("exclusive")),
            bool(node.integer("reverse")),
            node.reader(1),
        )

        def cumulative(x: Tensor, axis: Tensor | None = None) -> Tensor:
            number = axes(axis)
            along = number[0] if isinstance(number, list) else number
            x = x.flip(along) if reverse else x
            if exclusive:
                first = torch.full_like(x.narrow(along, 0, 1), start)
                x = torch.cat([first, x.narrow(along, 0, x.shape[along] - 1)], along)
            result = function(x, along).to(x.dtype)
            return result.flip(along) if reverse else result

        return cumulative

    return make


def _einsum(node: Node) -> Function:
    equation = node.text("equation").replace(" ", "")
    return lambda *inputs: torch.einsum(equation, *inputs)


OPERATORS: dict[str, Maker] = {
    "ReduceSum": _reduction(_sum, axes_from=13),
    "ReduceMean": _reduction(_mean),
    "ReduceProd": _reduction(_prod),
    "ReduceMax": _reduction(_extremum(torch.amax, lowest=True)),
    "ReduceMin": _reduction(_extremum(torch.amin, lowest=False)),
    "ReduceL1": _reduction(lambda x, axes, keep: _sum(x.abs(), axes, keep)),
    "ReduceL2": _reduction(_l2),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: _sum(x.square(), axes, keep)),
    "ReduceLogSum": _reduction(_log_sum),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "CumSum": _cumulative(torch.cumsum, 0),
    "CumProd": _cumulative(torch.cumprod, 1),
    "Einsum": _einsum,
}
