"""Targets: facts about a backend as data, for the planner.

A further backend is one more file beside this one, with the source of each fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import onnx_ir as ir

from tinyint.numbers.scheme import Scheme
from tinyint.targets.cpu import Cpu
from tinyint.targets.packing import ANY_TWO, Packing
from tinyint.targets.violation import Violation
from tinyint.targets.window import Window

__all__ = ["Inputs", "Kernel", "OperatorRule", "Output", "Target", "WeightAxis", "Weightless"]


class Output(StrEnum):
    """Whether an int8 operator needs a quantizer after it."""

    REQUIRED = "required"  # without it the operator runs in float
    OPTIONAL = "optional"  # only if an int8 operator with weights reads the output
    ON_DEMAND = "on demand"  # only if an int8 operator reads the output, with weights or without
    FORBIDDEN = "forbidden"  # it would break a fusion; each reader has its own quantizer
    TRANSPARENT = "transparent"  # the quantizers of its inputs, which share a scale, serve its readers too


class Weightless(StrEnum):
    """Whether a product of two activations, as in attention, runs in int8."""

    NEVER = "never"
    ON_REQUEST = "on request"  # only under `op_types: all`, since int8 gains nothing
    PRESET = "preset"


class WeightAxis(StrEnum):
    """Axis of per-channel weights for a rule without a number."""

    OPERATORS_OWN = "the operator's own"
    PER_TENSOR = "none: one scale for all"


class Inputs(StrEnum):
    """Inputs of an int8 operator that need quantizers."""

    ALL = "all"
    RESIDUAL = "residual"  # of two inputs, the one with the shorter path (the skip connection)


class Kernel(StrEnum):
    """Arithmetic of an int8 kernel; the formulas are in `qat.kernels`.

    "By the range" means that the result is quantized with the range of the output, not with its scale.
    """

    MULTIPLIED = "multiplied"  # product: the int32 sum times one float32 factor per channel
    RESCALED = "rescaled"  # product: dequantized, the bias added, quantized by the range
    AFFINE_SUM = "affine sum"  # sum of codes, each times a factor
    FIXED_POINT_SUM = "fixed-point sum"  # sum of codes, each times a whole number, and a shift
    ONTO_PRODUCT = "onto product"  # sum in the kernel of the product before it, whose quantizer only clips
    SCALED_PRODUCT = "scaled product"  # product of codes times one factor
    SCALED_MEAN = "scaled mean"  # sum of codes over positions, times one factor
    RANGED_MEAN = "ranged mean"  # mean of codes, quantized by the range
    SHIFTED = "shifted"  # in float32, rounded after the zero-point is added
    RANGED = "ranged"  # in float32, quantized by the range


@dataclass(frozen=True, kw_only=True)
class OperatorRule:
    """Rule of a target for one int8 operator.

    * `output`, `inputs`: which of its tensors need quantizers, and which must have none
    * `fused`: it runs in the kernel of the operator with weights before it, if it is that one's only reader; then no
      quantizer is between them
    * `tied`: all inputs and outputs share one scale and zero-point
    * `preset`: quantized under `op_types: default`; otherwise only on request
    * `windows`: windows of a pool or convolution with which it stays in float, each with the fault of its int8 kernel
    * `least`: fewest elements of a result that its kernel computes correctly; it stays in float if there may be fewer,
      as with an open size
    * `grouped`: of a convolution, whether it runs in int8 with groups
    * `weightless`: of Gemm and MatMul, whether they run in int8 without weights
    * `operands`: format that its inputs must have, None for any; of Gemm and MatMul, only if both are activations. A
      first operand that cannot be negative may keep the usual format
    * `any_format`: whether it accepts the format that another operator demands by `operands` or `joined`
    * `joined_along`: axis along which a Concat before it may join its input, None for any. An input that is joined
      along another axis, and can be negative, must have the format `joined`; without that, the operator stays in float
    * `weight_axis`: axis of per-channel weights, if not the operator's own
    * `overflow`: of Softmax, smallest range of the quantizer after it, as a multiple of the mean output 1 / length:
      its kernel overflows under finer scales. The rule holds even if the plan leaves Softmax in float
    * `needs_bias`: if its result has several readers, it is wrong without a nonzero bias
    * `uneven_bias`: most rows with which a matrix product before a quantizer is wrong, unless it has a bias whose
      numbers differ; 0: never wrong
    * `packings`: orders in which its kernels may store the weights of a filter, for kernels whose pair sums saturate
      (`Cpu`)
    * `kernel`: what its int8 kernel computes, to the bit; None: the float operator between DequantizeLinear and
      QuantizeLinear, or unknown
    * `source`: evidence of the fact
    """

    output: Output = Output.REQUIRED
    inputs: Inputs = Inputs.ALL
    fused: bool = False
    tied: bool = False
    preset: bool = True
    windows: Mapping[Window, str] = field(default_factory=dict)
    least: int = 1
    grouped: bool = True
    weightless: Weightless = Weightless.NEVER
    operands: Scheme | None = None
    any_format: bool = False
    joined_along: int | None = None
    joined: Scheme | None = None
    weight_axis: int | WeightAxis = WeightAxis.OPERATORS_OWN
    overflow: float | None = None
    needs_bias: bool = False
    uneven_bias: int = 0
    packings: tuple[Packing, ...] = ANY_TWO
    kernel: Kernel | None = None
    source: str


def _breaks_no_rule(model: ir.Model) -> Sequence[Violation]:
    """No violations, for a backend that tinyint runs: it reports them itself."""
    del model
    return ()


@dataclass(frozen=True, kw_only=True)
class Target:
    """Backend on one kind of processor.

    * `cpu`: processor that its kernels are for
    * `activation`, `weight`: default schemes; a per-channel `weight` has axis 0, replaced by the operator's own
    * `clamps_absorbed`: Relu and Clip are dropped if the quantizer after them clips at the same bounds
    * `int32_bias`: biases are stored as int32 with scale s_x · s_w; otherwise they stay float
    * `operators`: rule of each operator that it runs in int8
    * `left_float`: reason, for operators that users ask about and that it runs in float
    * `quantizer`: what a QuantizeLinear by itself computes, if not round(x / s) + z
    * `dynamic`: operators that have kernels with activations quantized at run time
    * `reads_bytes`: whether it has operators on uint8; otherwise such an input is cast to float first
    * `resizes`: interpolations of images in bytes that its Resize has as Pillow does, by the name of the preprocessing
    * `stored_weights`: how it computes with integer weights and float activations
    * `misreads_points`: whether it takes a 1×1 convolution with such weights, beside a Transpose or a Reshape, for a
      matrix product, whatever its strides, padding and order of axes
    * `misreads_gathers`: whether a quantized model fails where a Gather reads an int8 product's result, or by indices
      that are no vector what is scaled by constants of several numbers
    * `requantizes`: operators whose float weights it quantizes by itself, with one scale for all, where their input
      and result are quantized
    * `check`: finds violations of the backend's rules in a Q/DQ graph of any origin
    * `build_commands`: commands, by version, with which the backend's own tool builds an engine from a file; None:
      tinyint runs the file
    """

    name: str
    runtime: str
    cpu: Cpu
    summary: str
    activation: Scheme
    weight: Scheme
    clamps_absorbed: bool
    int32_bias: bool
    operators: Mapping[str, OperatorRule]
    quantizer: Kernel | None = None
    left_float: Mapping[str, str] = field(default_factory=dict)
    dynamic: frozenset[str] = field(default_factory=frozenset)
    reads_bytes: bool = True
    resizes: frozenset[str] = field(default_factory=frozenset)
    stored_weights: str = "the arithmetic is float"
    misreads_points: bool = False
    misreads_gathers: bool = False
    requantizes: frozenset[str] = field(default_factory=frozenset)
    check: Callable[[ir.Model], Sequence[Violation]] = _breaks_no_rule
    build_commands: Callable[[str], Mapping[str, str]] | None = None
    sources: tuple[str, ...]
