"""Comparisons, logic, selection and casts."""

from __future__ import annotations

import torch
from torch import Tensor

from tinyint.errors import ModelError
from tinyint.torch_graph.operators.elementwise import wide
from tinyint.torch_graph.operators.node import Function, Maker, Node, plain

__all__ = ["OPERATORS"]


def _cast(node: Node) -> Function:
    dtype = node.dtype("to")
    if dtype is None:
        raise ModelError(f"Cast {node.name!r} names no type to cast to")
    return lambda x: x.to(dtype)


def _where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return torch.where(condition, x, y)


OPERATORS: dict[str, Maker] = {
    "And": plain(torch.logical_and),
    "Or": plain(torch.logical_or),
    "Xor": plain(torch.logical_xor),
    "Not": plain(torch.logical_not),
    "Equal": plain(wide(torch.eq)),
    "Greater": plain(wide(torch.gt)),
    "GreaterOrEqual": plain(wide(torch.ge)),
    "Less": plain(wide(torch.lt)),
    "LessOrEqual": plain(wide(torch.le)),
    "Where": plain(wide(_where)),
    "Cast": _cast,
    "CastLike": plain(lambda x, like: x.to(like.dtype)),
}
