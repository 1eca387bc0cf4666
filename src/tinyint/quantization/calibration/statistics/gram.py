"""Gram matrices of the channels, Σ x·xᵀ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import onnx_ir as ir

from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration.builder import GraphBuilder
from tinyint.quantization.calibration.statistics.exact_sum import ExactSum
from tinyint.quantization.calibration.statistics.statistic import Layout, Request, Statistic

__all__ = ["Gram"]

_BITS = 20
"""Of a sample's matrix, relative to its largest element: the rest would be digits to add and to store."""


class Gram(Statistic):
    """Products of the channels with each other, summed exactly.

    Those of a sample are as the runtime computes them, rounded to 20 bits.

    What GPTQ calls H, up to a factor (Frantar et al. 2022, arXiv:2210.17323), for products along these channels: one
    matrix, or one for each block of neighbours. Only the lower triangles are kept.
    """

    name = "gram"

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.block = 0, 0
        self._sum = ExactSum()

    @staticmethod
    def reduce(builder: GraphBuilder, tensor: ir.Value, need: Request) -> list[ir.Value]:
        if need.block is None:
            across = builder.node("Transpose", [tensor], perm=[0, 2, 1])
            return [builder.node("MatMul", [tensor, across])]
        # Of the sizes, only one can be left open: the elements come first while the channels are cut.
        first = builder.node("Transpose", [tensor], perm=[0, 2, 1])
        cut = builder.node("Reshape", [first, builder.integers(0, 0, -1, need.block)])
        left = builder.node("Transpose", [cut], perm=[0, 2, 3, 1])
        return [builder.node("MatMul", [left, builder.node("Transpose", [cut], perm=[0, 2, 1, 3])])]

    def update(self, parts: list[Array], elements: int) -> None:  # noqa: ARG002
        block = parts[0].shape[-1]
        matrices = parts[0].reshape(-1, block, block)
        self.samples, self.blocks, self.block = self.samples + 1, len(matrices), block
        rows, columns = np.tril_indices(block)
        self._sum.add(_rounded(matrices[:, rows, columns]))

    def merge(self, other: Self) -> None:
        self._sum.merge(other._sum)
        self.samples += other.samples
        self.blocks, self.block = max(self.blocks, other.blocks), max(self.block, other.block)

    def matrices(self) -> Array:
        """Float64 (blocks, channels of a block, channels of a block)."""
        made = np.zeros((self.blocks, self.block, self.block))
        rows, columns = np.tril_indices(self.block)
        made[:, rows, columns] = made[:, columns, rows] = self._sum.value()
        return made

    def to_header(self) -> dict[str, Any]:
        places = list(self._sum.digits())
        return {"samples": self.samples, "blocks": self.blocks, "size": self.block, "places": places}

    def to_arrays(self) -> dict[str, Array]:
        shape = self.blocks, self.block * (self.block + 1) // 2
        digits = [np.broadcast_to(digit, shape) for digit in self._sum.digits().values()]
        return {"digits": np.array(digits, np.int64).reshape(-1, *shape)}

    @staticmethod
    def layout(header: Mapping[str, Any]) -> Layout:
        blocks, size = int(header["blocks"]), int(header["size"])
        return {"digits": (np.int64, (len(header["places"]), blocks, size * (size + 1) // 2))}

    @classmethod
    def from_stored(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        made = cls()
        made.samples = int(header["samples"])
        made.blocks, made.block = int(header["blocks"]), int(header["size"])
        made._sum = ExactSum.from_digits(header["places"], arrays["digits"])
        return made


def _rounded(matrices: Array) -> Array:
    """Float64 multiples of a power of two by block, which the sample alone decides."""
    _, exponent = np.frexp(np.abs(matrices).max(axis=1, keepdims=True, initial=0.0))
    unit = np.maximum(exponent - _BITS, -149)
    return np.asarray(np.ldexp(np.rint(np.ldexp(matrices.astype(np.float64), -unit)), unit))
