"""Normalizations."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Function, Maker, Node, in_single

__all__ = ["OPERATORS"]


def _batch_norm(node: Node) -> Function:
    eps, momentum = node.real("epsilon", 1e-5), node.real("momentum", 0.9)

    def fixed(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return functional.batch_norm(x, mean, var, scale, bias, False, 0.0, eps)

    def training(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, ...]:
        axes = [0, *range(2, x.dim())]
        now, spread = x.mean(axes), x.var(axes, correction=0)
        y = functional.batch_norm(x, now, spread, scale, bias, False, 0.0, eps)
        return y, mean * momentum + now * (1 - momentum), var * momentum + spread * (1 - momentum)

    return training if node.integer("training_mode") else fixed


def _instance_norm(node: Node) -> Function:
    eps = node.real("epsilon", 1e-5)

    def instance_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        if x[0, 0].numel() > 1:
            return functional.instance_norm(x, weight=scale, bias=bias, eps=eps)
        shape = (1, -1, *[1] * (x.dim() - 2))  # torch refuses the mean of a single position
        return (x - x) * scale.reshape(shape) + bias.reshape(shape)

    return instance_norm


def _layer_norm(node: Node) -> Function:
    axis, eps, statistics = node.integer("axis", -1), node.real("epsilon", 1e-5), node.outputs > 1

    def layer_norm(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        start = axis % x.dim()
        if not statistics and scale.shape == x.shape[start:] and (bias is None or bias.shape == scale.shape):
            return functional.layer_norm(x, x.shape[start:], scale, bias, eps)
        axes = list(range(start, x.dim()))
        wide = in_single(x)
        mean = wide.mean(axes, keepdim=True)
        inverse = (wide.var(axes, correction=0, keepdim=True) + eps).rsqrt()
        y = ((wide - mean) * inverse).to(x.dtype) * scale
        return (y if bias is None else y + bias), mean, inverse

    return layer_norm


def _rms_norm(node: Node) -> Function:
    axis, eps = node.integer("axis", -1), node.real("epsilon", 1e-5)

    def rms_norm(x: Tensor, scale: Tensor) -> Tensor:
        wide = in_single(x)
        axes = list(range(axis % x.dim(), x.dim()))
        return (wide * (wide.square().mean(axes, keepdim=True) + eps).rsqrt()).to(x.dtype) * scale

    return rms_norm


def _group_norm(node: Node) -> Function:
    groups, eps = node.integer("num_groups"), node.real("epsilon", 1e-5)

    def group_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        repeat = (
            x.shape[1] // scale.shape[0]
        )  # before opset 21, there is one scale per group, not per channel
        scale, bias = (v.repeat_interleave(repeat) if repeat > 1 else v for v in (scale, bias))
        return functional.group_norm(x, groups, scale, bias, eps)

    return group_norm


def _local_response(node: Node) -> Function:
    """Local response normalization.

    For an even size, the window has one more channel after than before.
    """
    alpha, beta, bias = node.real("alpha", 1e-4), node.real("beta", 0.75), node.real("bias", 1.0)
    size = node.integer("size")
    before = math.floor((size - 1) / 2)

    def local_response(x: Tensor) -> Tensor:
        wide = in_single(x)
        squares = functional.pad(wide.square().flatten(2).transpose(1, 2), (before, size - 1 - before))
        mean = functional.avg_pool1d(squares, size, 1).transpose(1, 2).reshape(x.shape)
        return (wide / (bias + alpha * mean) ** beta).to(x.dtype)

    return local_response


def _lp_norm(node: Node) -> Function:
    axis, p = node.integer("axis", -1), node.integer("p", 2)

    def lp_norm(x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, p, dim=axis, keepdim=True)
        return x / torch.where(norm == 0, torch.ones_like(norm), norm)

    return lp_norm


def _mean_variance(node: Node) -> Function:
    axes = node.integers("axes") or [0, 2, 3]
    return lambda x: (x - x.mean(axes, keepdim=True)) / (x.std(axes, correction=0, keepdim=True) + 1e-9)


OPERATORS: dict[str, Maker] = {
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "GroupNormalization": _group_norm,
    "LRN": _local_response,
    "LpNormalization": _lp_norm,
    "MeanVarianceNormalization": _mean_variance,
}
