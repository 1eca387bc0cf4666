"""The smallest and the largest value of each channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import onnx_ir as ir

from tinyint.numbers.numerics import Array, FloatArray
from tinyint.quantization.calibration.builder import GraphBuilder
from tinyint.quantization.calibration.statistics.statistic import Layout, Request, Statistic

__all__ = ["ChannelExtrema"]


class ChannelExtrema(Statistic):
    """Extrema of channels: `lo` and `hi`, float32 (channels,).

    The largest magnitudes, max(-lo, hi), are for SmoothQuant.
    """

    name = "channel_extrema"

    def __init__(self) -> None:
        super().__init__()
        self.lo: FloatArray = np.array(np.inf, np.float32)
        self.hi: FloatArray = np.array(-np.inf, np.float32)

    @staticmethod
    def reduce(builder: GraphBuilder, tensor: ir.Value, need: Request) -> list[ir.Value]:  # noqa: ARG004
        return [builder.reduce(op_type, tensor, axis=2) for op_type in ("ReduceMin", "ReduceMax")]

    def update(self, parts: list[Array], elements: int) -> None:  # noqa: ARG002
        self._add(1, parts[0].reshape(-1), parts[1].reshape(-1))

    def merge(self, other: Self) -> None:
        self._add(other.samples, other.lo, other.hi)

    def _add(self, samples: int, lo: Array, hi: Array) -> None:
        self.samples += samples
        self.lo, self.hi = np.minimum(self.lo, lo) + 0, np.maximum(self.hi, hi) + 0  # no -0, which equals 0

    def to_header(self) -> dict[str, Any]:
        return {"samples": self.samples, "channels": self.lo.size}

    def to_arrays(self) -> dict[str, Array]:
        return {"lo": self.lo, "hi": self.hi}

    @staticmethod
    def layout(header: Mapping[str, Any]) -> Layout:
        shape = (int(header["channels"]),)
        return {"lo": (np.float32, shape), "hi": (np.float32, shape)}

    @classmethod
    def from_stored(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        made = cls()
        made._add(int(header["samples"]), arrays["lo"], arrays["hi"])
        if not (np.isfinite([made.lo, made.hi]).all() and (made.lo <= made.hi).all()):
            raise ValueError("extrema of channels that are no extrema")
        return made
