"""Patches of a tensor: what the filters of a convolution multiply, position by position."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import onnx_ir as ir

from tinyint.quantization.calibration.builder import GraphBuilder

__all__ = ["Patches"]


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Windows of a tensor (N, C, *spatial), each attribute as of the operator Conv."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements of one window in one channel."""
        return math.prod(self.kernel)

    def unfold(self, builder: GraphBuilder, value: ir.Value, channels: int) -> ir.Value:
        """Tensor (N, C · size, *positions) of the windows.

        By a convolution whose filters have a single one each.
        """
        picks = np.tile(np.eye(self.size, dtype=np.float32), (channels, 1))
        filters = builder.array(f"patches/{channels}/{self.kernel}", picks.reshape(-1, 1, *self.kernel))
        return builder.node(
            "Conv",
            [value, filters],
            group=channels,
            kernel_shape=list(self.kernel),
            strides=list(self.strides),
            pads=list(self.pads),
            dilations=list(self.dilations),
        )

    def __str__(self) -> str:
        """In error messages and cache keys."""
        kernel, strides, dilations = (
            "×".join(map(str, numbers)) for numbers in (self.kernel, self.strides, self.dilations)
        )
        return f"windows {kernel} by {strides}, pads {list(self.pads)}, dilations {dilations}"

    def to_header(self) -> dict[str, Any]:
        """Attributes, for JSON."""
        return asdict(self)

    @classmethod
    def from_header(cls, header: object) -> Self:
        """Patches of such a header. Raises ValueError for another."""
        if not isinstance(header, dict) or header.keys() != {"kernel", "strides", "pads", "dilations"}:
            raise ValueError(f"windows that are none: {header!r}")
        numbers = {key: tuple(map(int, values)) for key, values in header.items()}
        rank = len(numbers["kernel"])
        sound = all(len(values) == (2 if key == "pads" else 1) * rank for key, values in numbers.items())
        if not sound or rank > 3 or min(*numbers["kernel"], *numbers["strides"], *numbers["dilations"]) < 1:
            raise ValueError(f"windows that are none: {header!r}")
        return cls(**numbers)
