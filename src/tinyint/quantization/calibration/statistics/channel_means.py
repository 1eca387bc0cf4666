"""The mean of each channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import onnx_ir as ir

from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration.builder import GraphBuilder
from tinyint.quantization.calibration.statistics.exact_sum import ExactSum
from tinyint.quantization.calibration.statistics.statistic import Layout, Request, Statistic

__all__ = ["ChannelMeans"]


class ChannelMeans(Statistic):
    """Means of channels over samples, weighted by elements, exact.

    The mean of each sample is float32, as the runtime computes it.

    * `elements`: of a channel, over all samples
    """

    name = "channel_means"

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0
        self.channels = 0
        self._sum = ExactSum()

    @staticmethod
    def reduce(builder: GraphBuilder, tensor: ir.Value, need: Request) -> list[ir.Value]:  # noqa: ARG004
        return [builder.reduce("ReduceMean", tensor, axis=2)]

    def update(self, parts: list[Array], elements: int) -> None:
        means = parts[0].reshape(-1).astype(np.float64)
        self._sum.add(means * elements)  # exact: 24 bits times fewer than 29
        self.samples, self.elements, self.channels = self.samples + 1, self.elements + elements, means.size

    def merge(self, other: Self) -> None:
        self._sum.merge(other._sum)
        self.samples, self.elements = self.samples + other.samples, self.elements + other.elements
        self.channels = max(self.channels, other.channels)

    def means(self) -> Array:
        """Float64 (channels,)."""
        if not self.elements:
            raise ValueError("the tensor was not seen in calibration")
        return np.broadcast_to(self._sum.value() / self.elements, (self.channels,))

    def to_header(self) -> dict[str, Any]:
        places = list(self._sum.digits())
        return {
            "samples": self.samples,
            "elements": self.elements,
            "channels": self.channels,
            "places": places,
        }

    def to_arrays(self) -> dict[str, Array]:
        digits = [np.broadcast_to(digit, (self.channels,)) for digit in self._sum.digits().values()]
        return {"digits": np.array(digits, np.int64).reshape(-1, self.channels)}

    @staticmethod
    def layout(header: Mapping[str, Any]) -> Layout:
        return {"digits": (np.int64, (len(header["places"]), int(header["channels"])))}

    @classmethod
    def from_stored(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        made = cls()
        made.samples, made.elements = int(header["samples"]), int(header["elements"])
        made.channels = int(header["channels"])
        made._sum = ExactSum.from_digits(header["places"], arrays["digits"])
        if made.elements < made.samples:
            raise ValueError(f"{made.elements} elements in {made.samples} samples")
        return made
