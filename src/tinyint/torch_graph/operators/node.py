"""View of a node for building its operator: attributes, opset, constant inputs.

A maker reads these once and returns a function of tensors, so nothing is looked up while the graph runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinyint.errors import ModelError
from tinyint.graph.walk import constant_of

__all__ = ["Function", "Maker", "Node", "in_single", "plain", "to_tensor", "torch_dtype"]

Function: TypeAlias = Callable[..., Tensor | tuple[Tensor, ...]]
"""Takes the node's inputs in order, None for one that is left out; returns its outputs."""

_UNSIGNED = {"uint16": torch.uint16, "uint32": torch.uint32, "uint64": torch.uint64}


class Node:
    """One node as its maker sees it.

    * `opset`: the version of the operator set that defines it
    * `outputs`: how many outputs are asked for; the name of one in between may be empty
    * `baked`: the positions of constant inputs that the maker has read, which the function needs no tensor for
    * `numbers`: the positions of inputs that the function reads as Python numbers
    """

    def __init__(self, node: ir.Node, opset: int) -> None:
        self._node = node
        self.opset = node.version or opset
        self.outputs = len(node.outputs)
        self.baked: set[int] = set()
        self.numbers: set[int] = set()

    @property
    def name(self) -> str:
        return self._node.name or self._node.op_type

    @property
    def inputs(self) -> int:
        return len(self._node.inputs)

    def has(self, attribute: str) -> bool:
        return attribute in self._node.attributes

    def given(self, position: int) -> bool:
        """Whether the optional input is there."""
        return position < self.inputs and self._node.inputs[position] is not None

    def wanted(self, output: int) -> bool:
        """Whether the optional output is read or has a name at all."""
        return output < self.outputs and bool(self._node.outputs[output].name)

    def integer(self, attribute: str, default: int = 0) -> int:
        return self._node.attributes.get_int(attribute, default)

    def real(self, attribute: str, default: float = 0.0) -> float:
        return self._node.attributes.get_float(attribute, default)

    def text(self, attribute: str, default: str = "") -> str:
        return self._node.attributes.get_string(attribute, default)

    def integers(self, attribute: str) -> list[int] | None:
        found = self._node.attributes.get_ints(attribute, None)
        return None if found is None else list(found)

    def reals(self, attribute: str) -> list[float] | None:
        found = self._node.attributes.get_floats(attribute, None)
        return None if found is None else list(found)

    def texts(self, attribute: str) -> list[str] | None:
        found = self._node.attributes.get_strings(attribute, None)
        return None if found is None else list(found)

    def tensor(self, attribute: str) -> Tensor | None:
        found = self._node.attributes.get_tensor(attribute, None)
        return None if found is None else to_tensor(found.numpy())

    def dtype(self, attribute: str) -> torch.dtype | None:
        """Torch type of an attribute in ONNX's numbering of types."""
        if not self.has(attribute):
            return None
        return torch_dtype(ir.DataType(self.integer(attribute)), self.name)

    def constant(self, position: int) -> NDArray[np.generic] | None:
        """Constant at the input, which is then not passed to the function."""
        array = constant_of(self._node.inputs[position]) if self.given(position) else None
        if array is not None:
            self.baked.add(position)
        return array

    def reader(self, position: int) -> Callable[[Any], Any]:
        """Reader of the input as (lists of) Python numbers; None if absent.

        They are read here if they are constant. A tensor is waited for; what comes from shapes is numbers already.
        """
        array = self.constant(position)
        self.numbers.add(position)
        if array is not None:
            fixed = array.tolist()
            return lambda _: fixed
        return lambda given: given.tolist() if isinstance(given, Tensor) else given


Maker: TypeAlias = Callable[[Node], Function]


def plain(function: Function) -> Maker:
    """The maker of an operator that has no attributes."""
    return lambda _: function


def in_single(x: Tensor) -> Tensor:
    """Computes narrower floats in float32.

    For operators whose inner numbers leave the range of float16.
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def to_tensor(array: NDArray[Any]) -> Tensor:
    """Copy of the array in torch.

    Raises ModelError for a type that torch has not.
    """
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    if array.dtype.kind not in "biufc":
        raise ModelError(
            f"a tensor of type {array.dtype.name} cannot be used in training: torch has no such type"
        )
    return torch.from_numpy(np.array(array))


def torch_dtype(dtype: ir.DataType, where: str) -> torch.dtype:
    """The same type in torch; raises ModelError for one that torch has not."""
    if dtype == ir.DataType.BFLOAT16:
        return torch.bfloat16
    try:
        name = dtype.numpy().name
    except TypeError:
        name = "string"
    found = _UNSIGNED.get(name) or getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ModelError(f"node {where!r} uses the type {dtype.name}, which cannot be used in training")
    return found
