"""Elementwise arithmetic."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from tinyint.torch_graph.operators.node import Function, Maker, Node, in_single, plain

__all__ = ["OPERATORS", "WIDE", "wide"]

WIDE = (torch.uint16, torch.uint32, torch.uint64)
"""Types that torch stores, but has few operators for."""


def wide(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Function that runs in int64 for unsigned integers for which torch has no operators."""

    @functools.wraps(function)
    def call(*inputs: Tensor | None) -> Tensor:
        kind = next((x.dtype for x in inputs if x is not None and x.dtype in WIDE), None)
        if kind is None:
            return function(*inputs)
        result = function(*(x.to(torch.int64) if x is not None and x.dtype in WIDE else x for x in inputs))
        return result.to(kind) if result.dtype == torch.int64 else result

    return call


def _div(x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y, rounding_mode=None if x.is_floating_point() else "trunc")


def _pow(x: Tensor, y: Tensor) -> Tensor:
    return torch.pow(x, y).to(x.dtype)


def _mod(node: Node) -> Function:
    return wide(torch.fmod if node.integer("fmod") else torch.remainder)


def _many(function: Callable[[Tensor, Tensor], Tensor]) -> Maker:
    """Maker of an operator on any number of inputs."""
    pair = wide(function)
    return plain(lambda *inputs: functools.reduce(pair, inputs))


def _mean(*inputs: Tensor) -> Tensor:
    return (functools.reduce(torch.add, map(in_single, inputs)) / len(inputs)).to(inputs[0].dtype)


def _clip(node: Node) -> Function:
    if node.opset < 11:
        low, high = (node.real(a) if node.has(a) else None for a in ("min", "max"))
        return lambda x: x if low is None and high is None else torch.clamp(x, low, high)
    lows, highs = node.reader(1), node.reader(2)

    def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
        least, most = lows(low), highs(high)
        return x if least is None and most is None else torch.clamp(x, least, most)

    return clip


def _shift(node: Node) -> Function:
    left = node.text("direction") == "LEFT"
    return wide(torch.bitwise_left_shift if left else torch.bitwise_right_shift)


def _is_inf(node: Node) -> Function:
    positive, negative = bool(node.integer("detect_positive", 1)), bool(node.integer("detect_negative", 1))
    return lambda x: (torch.isposinf(x) & positive) | (torch.isneginf(x) & negative)


OPERATORS: dict[str, Maker] = {
    "Add": plain(wide(torch.add)),
    "Sub": plain(wide(torch.sub)),
    "Mul": plain(wide(torch.mul)),
    "Div": plain(wide(_div)),
    "Pow": plain(wide(_pow)),
    "Mod": _mod,
    "Max": _many(torch.maximum),
    "Min": _many(torch.minimum),
    "Sum": _many(torch.add),
    "Mean": plain(_mean),
    "Clip": _clip,
    "Abs": plain(torch.abs),
    "Neg": plain(torch.neg),
    "Sign": plain(torch.sign),
    "Sqrt": plain(torch.sqrt),
    "Exp": plain(torch.exp),
    "Log": plain(torch.log),
    "Reciprocal": plain(torch.reciprocal),
    "Erf": plain(torch.erf),
    "Floor": plain(torch.floor),
    "Ceil": plain(torch.ceil),
    "Round": plain(torch.round),
    "Sin": plain(torch.sin),
    "Cos": plain(torch.cos),
    "Tan": plain(torch.tan),
    "Asin": plain(torch.asin),
    "Acos": plain(torch.acos),
    "Atan": plain(torch.atan),
    "Sinh": plain(torch.sinh),
    "Cosh": plain(torch.cosh),
    "Tanh": plain(torch.tanh),
    "Asinh": plain(torch.asinh),
    "Acosh": plain(torch.acosh),
    "Atanh": plain(torch.atanh),
    "BitShift": _shift,
    "BitwiseAnd": plain(wide(torch.bitwise_and)),
    "BitwiseOr": plain(wide(torch.bitwise_or)),
    "BitwiseXor": plain(wide(torch.bitwise_xor)),
    "BitwiseNot": plain(wide(torch.bitwise_not)),
    "IsNaN": plain(torch.isnan),
    "IsInf": _is_inf,
    "Det": plain(torch.det),
}
