"""What a target is: facts about a backend, as data. A target holds no algorithm; the planner reads it.

Supporting a further backend is one new file beside this one, with the source of each fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tinyint.scheme import Scheme

__all__ = ["Inputs", "OperatorRule", "Output", "Target", "Weightless"]


class Output(StrEnum):
    """Whether a quantizer must stand behind an int8 operator."""

    REQUIRED = "required"  # without one the operator runs in float
    OPTIONAL = "optional"  # only if an int8 operator reads the output
    FORBIDDEN = "forbidden"  # one would break a fusion; readers quantize for themselves
    TRANSPARENT = "transparent"  # the quantizers of its inputs, of one scale, serve its readers as well


class Weightless(StrEnum):
    """Whether a product of two computed tensors, as in attention, runs in int8."""

    NEVER = "never"
    ON_REQUEST = "on request"  # only under `op_types: all`, since it does not pay
    PRESET = "preset"


class Inputs(StrEnum):
    """Which inputs of an int8 operator must be quantized."""

    ALL = "all"
    RESIDUAL = "residual"  # of two, the one that comes the shorter way (the skip connection)


@dataclass(frozen=True, kw_only=True)
class OperatorRule:
    """How a target runs one operator in int8.

    * `output`, `inputs`: where quantizers must and must not stand
    * `tied`: all inputs and outputs share one scale and zero-point
    * `preset`: quantized under `op_types: default`; the others only when asked for
    * `weightless`: for Gemm and MatMul
    * `weight_axis`: overrides the axis of per-channel weights; None within a one-tuple means per tensor
    * `source`: where the fact is from
    """

    output: Output = Output.REQUIRED
    inputs: Inputs = Inputs.ALL
    tied: bool = False
    preset: bool = True
    weightless: Weightless = Weightless.NEVER
    weight_axis: tuple[int | None] | None = None
    source: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """A backend.

    * `activation`, `weight`: the default schemes; a per-channel `weight` has axis 0, replaced by the operator's own
    * `clamps_absorbed`: Relu and Clip are dropped where the quantizer behind them cuts at the same place
    * `int32_bias`: biases are stored as int32 with s_x · s_w; else they stay float
    * `operators`: the rule of each operator that it runs in int8
    * `left_float`: why it does not, for operators of which users ask
    * `dynamic`: operators that have kernels with activations quantized at run time
    * `min_opset`: the lowest opset that the backend reads Q/DQ from
    """

    name: str
    runtime: str
    summary: str
    activation: Scheme
    weight: Scheme
    clamps_absorbed: bool
    int32_bias: bool
    operators: Mapping[str, OperatorRule]
    left_float: Mapping[str, str] = field(default_factory=dict)
    dynamic: frozenset[str] = field(default_factory=frozenset)
    min_opset: int = 13
    sources: tuple[str, ...]
