"""The weights of an operator as filters, one a row."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["input_axis", "is_one_to_one", "kernel_shape", "weight_matrix"]

Element = TypeVar("Element", bound=np.generic)


def weight_matrix(node: ir.Node, array: NDArray[Element]) -> NDArray[Element]:
    """The weights as (groups, outputs, inputs, kernel): a view of `array`, which must be contiguous.

    The matrices of a batched MatMul count as groups.
    """
    groups = node.attributes.get_int("group", 1)
    match node.op_type:
        case "Conv" | "ConvInteger" | "QLinearConv":
            return array.reshape(groups, array.shape[0] // groups, array.shape[1], -1)
        case "ConvTranspose":
            return array.reshape(groups, array.shape[0] // groups, array.shape[1], -1).swapaxes(1, 2)
        case "Gemm" if node.attributes.get_int("transB", 0):
            return array[None, :, :, None]
    matrices = array.reshape(-1, 1) if array.ndim == 1 else array
    return matrices.reshape(-1, *matrices.shape[-2:]).swapaxes(1, 2)[..., None]


def is_one_to_one(matrix: NDArray[Any]) -> bool:
    """Whether each group of a `weight_matrix` has one input and one output: a depthwise kernel, which adds no pairs."""
    groups, outputs, inputs, _ = matrix.shape
    return bool(inputs == outputs == 1 < groups)


def input_axis(node: ir.Node, array: NDArray[Any]) -> int:
    """The axis of the weight that counts the inputs of a filter, those of all groups for a ConvTranspose."""
    match node.op_type:
        case "Conv":
            return 1
        case "ConvTranspose":
            return 0
        case "Gemm":
            return 1 if node.attributes.get_int("transB", 0) else 0
    return max(array.ndim - 2, 0)


def kernel_shape(node: ir.Node, array: NDArray[Any]) -> tuple[int, ...]:
    """The shape of one filter's kernel; () for a product of matrices."""
    return array.shape[2:] if "Conv" in node.op_type else ()
