"""Plan: a scheme for each quantized tensor, a reason for each float node.

Planning changes nothing in the model. It answers three questions in turn, each in a file of its own:
which nodes run in int8 (`nodes`), where quantizers stand (`tensors`), and which tensors share a scale (`ties`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

from tinyint.graph.ops import ALL, All
from tinyint.numbers.scheme import Scheme
from tinyint.targets import Packing

__all__ = ["ConstantPlan", "Plan", "Role", "Stretch", "TensorPlan", "Use"]

Use: TypeAlias = tuple[str, int]
"""A place where a tensor is read: node name and input position."""


class Role(StrEnum):
    """Role of a quantized constant in its node."""

    WEIGHT = "weight"
    OPERAND = "operand"  # the constant of an Add or Mul


class Stretch(NamedTuple):
    """The upper end of a range, multiplied and brought between two numbers."""

    times: float
    least: float
    most: float

    def __call__(self, highest: float) -> float:
        return min(max(highest * self.times, self.least), self.most)


@dataclass(frozen=True, kw_only=True)
class TensorPlan:
    """A computed tensor that gets a quantizer.

    * `group`: the tensor whose scale it shares; its own name if it shares none
    * `reads`: the places that read the quantized value; ALL: the graph's outputs, too
    * `fixed_range`: the range that the operator itself sets (Sigmoid: 0 to 1), which needs no calibration
    * `stretch`: what is done to the upper end of the calibrated range
    * `live_range`: outside it, readers tell no value from the nearer end (`graph.dead_zones`)
    """

    scheme: Scheme
    group: str
    reads: frozenset[Use] | All
    fixed_range: tuple[float, float] | None = None
    stretch: Stretch | None = None
    live_range: tuple[float, float] | None = None

    def is_read_at(self, use: Use) -> bool:
        """Whether that place reads the quantized value."""
        return self.reads is ALL or use in self.reads


@dataclass(frozen=True, kw_only=True)
class ConstantPlan:
    """A weight or an operand that is stored in integers.

    * `packings`: how kernels whose pair sums saturate lay the weight out (`ranges.pair_sums`); None: none saturate
    """

    role: Role
    scheme: Scheme
    range: Literal["absmax", "mse"] = "absmax"
    packings: tuple[Packing, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Schemes and decisions of one quantization.

    * `tensors`: by tensor name
    * `constants`: weights and operands, by the place that reads them
    * `bias_weights`: constant biases, by the place that reads them, each with that of the weight that it goes with: its
      scale is s_x · s_w (see `numerics`)
    * `absorbed`: clamps that the quantizer after them replaces
    * `fenced`: nodes in float that the runtime would take for int8 ones, since quantizers are around them, or would
      fold into one: they read a copy, through an operator that no runtime runs on bytes
    * `biases`: places that get a bias which is no zero, and changes nothing, since the runtime is wrong without
    * `int8_nodes`: in graph order, epilogues (`graph.flow`) included
    * `float_nodes`: every other node that computes, with the reason
    """

    target: str
    tensors: Mapping[str, TensorPlan]
    constants: Mapping[Use, ConstantPlan]
    bias_weights: Mapping[Use, Use]
    absorbed: frozenset[str]
    fenced: frozenset[str]
    biases: frozenset[Use]
    int8_nodes: tuple[str, ...]
    float_nodes: Mapping[str, str]
