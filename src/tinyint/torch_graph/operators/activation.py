"""Activations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Function, Maker, Node, plain

__all__ = ["OPERATORS"]


def _with_floats(function: Callable[..., Tensor], **defaults: float) -> Maker:
    """Maker of an activation with these float attributes, which are the function's further arguments."""

    def make(node: Node) -> Function:
        values = [node.real(name, default) for name, default in defaults.items()]
        return lambda x: function(x, *values)

    return make


def _gelu(node: Node) -> Function:
    approximate = node.text("approximate", "none")
    return lambda x: functional.gelu(x, approximate=approximate)


def _celu(x: Tensor, alpha: float) -> Tensor:
    # Clamped before exp: clamped after it, the gradient would be 0 · inf.
    low = x.clamp(max=0) if alpha > 0 else x
    return x.clamp(min=0) + (alpha * torch.expm1(low / alpha)).clamp(max=0)


def _elu(x: Tensor, alpha: float) -> Tensor:
    return functional.elu(x, alpha)


def _selu(x: Tensor, alpha: float, gamma: float) -> Tensor:
    return gamma * functional.elu(x, alpha)


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    return torch.clamp(alpha * x + beta, 0, 1)


def _shrink(x: Tensor, bias: float, lambd: float) -> Tensor:
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, torch.zeros_like(x)))


def _softmax(function: Callable[..., Tensor]) -> Maker:
    """Maker of a function along one axis; before opset 13, along all axes from `axis` on."""

    def make(node: Node) -> Function:
        if node.opset >= 13:
            axis = node.integer("axis", -1)
            return lambda x: function(x, axis)
        start = node.integer("axis", 1)

        def flat(x: Tensor) -> Tensor:
            rows = x.shape[: start if start >= 0 else start + x.dim()]
            return function(x.reshape(*rows, -1), -1).reshape(x.shape)

        return flat

    return make


def _hardmax(x: Tensor, axis: int) -> Tensor:
    first = x.argmax(axis, keepdim=True)
    return torch.zeros_like(x).scatter(axis, first, 1)


def _swish(x: Tensor, alpha: float) -> Tensor:
    return functional.silu(x) if alpha == 1 else x * torch.sigmoid(alpha * x)


OPERATORS: dict[str, Maker] = {
    "Relu": plain(torch.relu),
    "LeakyRelu": _with_floats(functional.leaky_relu, alpha=0.01),
    "PRelu": plain(lambda x, slope: torch.where(x < 0, x * slope, x)),
    "Elu": _with_floats(_elu, alpha=1.0),
    "Celu": _with_floats(_celu, alpha=1.0),
    "Selu": _with_floats(_selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "ThresholdedRelu": _with_floats(
        lambda x, alpha: torch.where(x > alpha, x, torch.zeros_like(x)), alpha=1.0
    ),
    "Shrink": _with_floats(_shrink, bias=0.0, lambd=0.5),
    "Gelu": _gelu,
    "Mish": plain(functional.mish),
    "Swish": _with_floats(_swish, alpha=1.0),
    "HardSigmoid": _with_floats(_hard_sigmoid, alpha=0.2, beta=0.5),
    "HardSwish": plain(lambda x: functional.hardswish(x)),
    "Sigmoid": plain(torch.sigmoid),
    "Softplus": plain(functional.softplus),
    "Softsign": plain(functional.softsign),
    "Softmax": _softmax(torch.softmax),
    "LogSoftmax": _softmax(torch.log_softmax),
    "Hardmax": _softmax(_hardmax),
}
