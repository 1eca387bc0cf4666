"""Layout of an operator's weights, and its cost."""

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
    """The axes of a weight.

        (groups · a, b, *kernel)    of a convolution
        (*batches, a, b)            of a product of matrices

    * `kernel`: whether it is a convolution's
    * `outputs_first`: whether a counts the outputs of a group and b its inputs; else it is the other way round
    * `batched`: whether there may be batches
    * `groups`: of a convolution
    """

    kernel: bool = False
    outputs_first: bool = False
    batched: bool = False
    groups: int = 1

    def matrix(self, array: NDArray[Element]) -> NDArray[Element]:
        """Weights as (groups, outputs, inputs, kernel).

        A view of `array`, which must be contiguous.

        Batches count as groups.
        """
        if self.kernel:
            filters = array.reshape(self.groups, array.shape[0] // self.groups, array.shape[1], -1)
        else:
            matrices = array.reshape(-1, 1) if array.ndim == 1 else array
            filters = matrices.reshape(-1, *matrices.shape[-2:])[..., None]
        return filters if self.outputs_first else filters.swapaxes(1, 2)

    def output_axis(self, rank: int) -> int:
        """Axis of the outputs; where inputs come first, those of one group."""
        return self._first(rank) if self.outputs_first else self._first(rank) + 1

    def input_axis(self, rank: int) -> int:
        """Axis of a filter's inputs; where they come first, those of all groups."""
        return self._first(rank) + 1 if self.outputs_first else self._first(rank)

    def scale_axis(self, rank: int) -> int | None:
        """Axis with a scale per output.

        None where groups share an index, or batches differ.
        """
        shared = (self.groups > 1 and not self.outputs_first) or (self.batched and rank != 2)
        return None if shared else self.output_axis(rank)

    def outputs(self, shape: Sequence[int]) -> int:
        """Number of output channels of all groups."""
        return int(shape[self.output_axis(len(shape))]) * (1 if self.outputs_first else self.groups)

    def kernel_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one filter's kernel; () for matrices."""
        return shape[2:] if self.kernel else ()

    def macs(
        self,
        data: tuple[int, ...] | None,
        weight: tuple[int, ...] | None,
        result: tuple[int, ...] | None,
    ) -> int | None:
        """Multiply-accumulates from the shapes; None where those are unknown."""
        if self.kernel:  # each element made, or read where inputs come first, meets one filter
            met = result if self.outputs_first else data
            return None if met is None or weight is None else math.prod(met) * math.prod(weight[1:])
        return None if result is None or not data else math.prod(result) * data[-1]

    def _first(self, rank: int) -> int:
        return max(rank - 2, 0) if self.batched else 0


def is_one_to_one(matrix: NDArray[Any]) -> bool:
    """Whether each group has one input and one output.

    Of a `WeightLayout.matrix`: a depthwise kernel, which adds no pairs.
    """
    groups, outputs, inputs, _ = matrix.shape
    return bool(inputs == outputs == 1 < groups)
