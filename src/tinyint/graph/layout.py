"""Axes of an operator's weights, and the operator's cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["WeightLayout", "is_one_to_one"]

Element = TypeVar("Element", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class WeightLayout:
    """Axes of a weight.

        (groups · a, b, *kernel)    convolution
        (*batches, a, b)            matrix product

    * `kernel`: it is a convolution
    * `outputs_first`: a counts the outputs of a group and b its inputs; otherwise a the inputs and b the outputs
    * `batched`: there may be batch axes
    * `groups`: number of groups of a convolution
    """

    kernel: bool = False
    outputs_first: bool = False
    batched: bool = False
    groups: int = 1

    def matrix(self, array: NDArray[Element]) -> NDArray[Element]:
        """View of the weights as (groups, outputs, inputs, kernel).

        Batches count as groups. `array` must be contiguous.
        """
        if self.kernel:
            filters = array.reshape(self.groups, array.shape[0] // self.groups, array.shape[1], -1)
        else:
            matrices = array.reshape(-1, 1) if array.ndim == 1 else array
            filters = matrices.reshape(-1, *matrices.shape[-2:])[..., None]
        return filters if self.outputs_first else filters.swapaxes(1, 2)

    def output_axis(self, rank: int) -> int:
        """Axis of the outputs; if inputs come first, it counts those of one group."""
        return self._first(rank) if self.outputs_first else self._first(rank) + 1

    def input_axis(self, rank: int) -> int:
        """Axis of the inputs of a group.

        If inputs come first, it counts those of all groups.
        """
        return self._first(rank) + 1 if self.outputs_first else self._first(rank)

    def scale_axis(self, rank: int) -> int | None:
        """Axis with one scale per output.

        None if outputs of several groups share an index, or if there are batch axes.
        """
        shared = (self.groups > 1 and not self.outputs_first) or (self.batched and rank != 2)
        return None if shared else self.output_axis(rank)

    def outputs(self, shape: Sequence[int]) -> int:
        """Number of output channels in all groups."""
        return int(shape[self.output_axis(len(shape))]) * (1 if self.outputs_first else self.groups)

    def kernel_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one kernel; () for matrices."""
        return shape[2:] if self.kernel else ()

    def macs(
        self,
        data: tuple[int, ...] | None,
        weight: tuple[int, ...] | None,
        result: tuple[int, ...] | None,
    ) -> int | None:
        """Multiply-accumulates for these shapes; None if one that is needed is unknown."""
        if self.kernel:  # one filter per element of the output; of the input, if inputs come first
            positions = result if self.outputs_first else data
            if positions is None or weight is None:
                return None
            return math.prod(positions) * math.prod(weight[1:])
        return None if result is None or not data else math.prod(result) * data[-1]

    def _first(self, rank: int) -> int:
        return max(rank - 2, 0) if self.batched else 0


def is_one_to_one(matrix: NDArray[Any]) -> bool:
    """Whether each group of a `WeightLayout.matrix` has one input and one output (depthwise).

    Such a kernel has no pairs of inputs whose products are added.
    """
    groups, outputs, inputs, _ = matrix.shape
    return bool(inputs == outputs == 1 < groups)
