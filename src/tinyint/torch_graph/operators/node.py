"""View of a node for the maker of its operator: attributes, opset, constant inputs.

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
"""Function of the node's inputs in order, None for an omitted one; returns its outputs."""

_UNSIGNED = {"uint16": torch.uint16, "uint32": torch.uint32, "uint64": torch.uint64}


class Node:
    """View of a node for its maker.

    * `opset`: version of the operator set that defines it
    * `outputs`: number of outputs; one in between may be unused, with an empty name
    * `baked`: positions of constant inputs that the maker has read; they are not passed to the function
    * `numbers`: positions of inputs that the function takes as Python numbers
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
        """Whether the node has the optional input."""
        return position < self.inputs and self._node.inputs[position] is not None

    def wanted(self, output: int) -> bool:
        """Whether the node has the optional output, that is, its name is not empty."""
        return output < self.outputs and bool(self._node.outputs[output].name)

    def integer(self, attribute: str, default: int = 0) -> int:
        return self._node.attributes.get_int(attribute, default)

    def real(self, attribute: str, default: float = 0.0) -> float:
        return self._node.attributes.get_float(attribute, default)

    def text(self, attribute: str, default: str = "") -> str:
        return self._node.attributes.get_string(attribute, default)

    def integers(self, attribute: str) -> list[int] | None:
        values = self._node.attributes.get_ints(attribute, None)
        return None if values is None else list(values)

    def reals(self, attribute: str) -> list[float] | None:
        values = self._node.attributes.get_floats(attribute, None)
        return None if values is None else list(values)

    def texts(self, attribute: str) -> list[str] | None:
        values = self._node.attributes.get_strings(attribute, None)
        return None if values is None else list(values)

    def tensor(self, attribute: str) -> Tensor | None:
        tensor = self._node.attributes.get_tensor(attribute, None)
        return None if tensor is None else to_tensor(tensor.numpy())

    def dtype(self, attribute: str) -> torch.dtype | None:
        """Torch type for an attribute that is the number of an ONNX type."""
        if not self.has(attribute):
            return None
        return torch_dtype(ir.DataType(self.integer(attribute)), self.name)

    def constant(self, position: int) -> NDArray[np.generic] | None:
        """Constant of an input, which is then not passed to the function.

        None if it is not constant.
        """
        array = constant_of(self._node.inputs[position]) if self.given(position) else None
        if array is not None:
            self.baked.add(position)
        return array

    def reader(self, position: int) -> Callable[[Any], Any]:
        """Function that reads the input as Python numbers or lists of them.

        None for an omitted one. A constant is read now, a tensor when the function is called; values computed from
        shapes are numbers already.
        """
        array = self.constant(position)
        self.numbers.add(position)
        if array is not None:
            fixed = array.tolist()
            return lambda _: fixed
        return lambda value: value.tolist() if isinstance(value, Tensor) else value


Maker: TypeAlias = Callable[[Node], Function]


def plain(function: Function) -> Maker:
    """Maker of an operator without attributes."""
    return lambda _: function


def in_single(x: Tensor) -> Tensor:
    """Tensor in float32 if its type is narrower.

    For operators whose inner values exceed the range of float16.
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def to_tensor(array: NDArray[Any]) -> Tensor:
    """Copy of the array as a tensor.

    Raises ModelError for a type that torch does not have.
    """
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    if array.dtype.kind not in "biufc":
        raise ModelError(
            f"a tensor of type {array.dtype.name} cannot be used in training: torch has no such type"
        )
    return torch.from_numpy(np.array(array))


def torch_dtype(dtype: ir.DataType, where: str) -> torch.dtype:
    """Same type in torch; raises ModelError for one that torch does not have."""
    if dtype == ir.DataType.BFLOAT16:
        return torch.bfloat16
    try:
        name = dtype.numpy().name
    except TypeError:
        name = "string"
    result = _UNSIGNED.get(name) or getattr(torch, name, None)
    if not isinstance(result, torch.dtype):
        raise ModelError(f"node {where!r} uses the type {dtype.name}, which cannot be used in training")
    return result
