"""The Gram matrix of the channels, Σ x·xᵀ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import onnx_ir as ir

from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration.builder import GraphBuilder
from tinyint.quantization.calibration.statistics.exact_sum import ExactSum
from tinyint.quantization.calibration.statistics.statistic import Layout, Statistic

__all__ = ["Gram"]


class Gram(Statistic):
    """Of each sample, float32 as the runtime computes it; their sum is exact.

    What GPTQ calls H, up to a factor (Frantar et al. 2022, arXiv:2210.17323), for products along these channels.
    """

    name = "gram"

    def __init__(self) -> None:
        super().__init__()
        self.channels = 0
        self._sum = ExactSum()

    @staticmethod
    def reduce(builder: GraphBuilder, tensor: ir.Value) -> list[ir.Value]:
        return [builder.node("MatMul", [tensor, builder.node("Transpose", [tensor], perm=[0, 2, 1])])]

    def update(self, parts: list[Array], elements: int) -> None:  # noqa: ARG002
        self.samples, self.channels = self.samples + 1, parts[0].shape[-1]
        self._sum.add(parts[0].reshape(self.channels, self.channels))

    def merge(self, other: Self) -> None:
        self._sum.merge(other._sum)
        self.samples, self.channels = self.samples + other.samples, max(self.channels, other.channels)

    def matrix(self) -> Array:
        """Float64 (channels, channels)."""
        return np.broadcast_to(self._sum.value(), (self.channels, self.channels))

    def to_header(self) -> dict[str, Any]:
        return {"samples": self.samples, "channels": self.channels, "places": list(self._sum.digits())}

    def to_arrays(self) -> dict[str, Array]:
        shape = (self.channels, self.channels)
        digits = [np.broadcast_to(digit, shape) for digit in self._sum.digits().values()]
        return {"digits": np.array(digits, np.int64).reshape(-1, *shape)}

    @staticmethod
    def layout(header: Mapping[str, Any]) -> Layout:
        channels = int(header["channels"])
        return {"digits": (np.int64, (len(header["places"]), channels, channels))}

    @classmethod
    def from_stored(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        made = cls()
        made.samples, made.channels = int(header["samples"]), int(header["channels"])
        made._sum = ExactSum.from_digits(header["places"], arrays["digits"])
        return made
