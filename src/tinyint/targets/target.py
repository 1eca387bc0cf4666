"""Targets: facts about a backend as data, read by the planner.

Supporting a further backend is one new file beside this one, with the source of each fact.
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

    REQUIRED = "required"  # without one the operator runs in float
    OPTIONAL = "optional"  # only if an int8 operator with weights reads the output
    ON_DEMAND = "on demand"  # only if an int8 operator reads the output, be it one without weights
    FORBIDDEN = "forbidden"  # one would break a fusion; readers quantize for themselves
    TRANSPARENT = "transparent"  # the quantizers of its inputs, of one scale, serve its readers as well


class Weightless(StrEnum):
    """Whether a product of two computed tensors, as in attention, runs in int8."""

    NEVER = "never"
    ON_REQUEST = "on request"  # only under `op_types: all`, since it does not pay
    PRESET = "preset"


class WeightAxis(StrEnum):
    """The axis of per-channel weights, where a rule gives none."""

    OPERATORS_OWN = "the operator's own"
    PER_TENSOR = "none: one scale for all"


class Inputs(StrEnum):
    """Inputs of an int8 operator that need quantizers."""

    ALL = "all"
    RESIDUAL = "residual"  # of two, the one that comes the shorter way (the skip connection)


class Kernel(StrEnum):
    """Arithmetic of an int8 kernel; the formulas are in `qat.kernels`."""

    MULTIPLIED = "multiplied"  # a product: the int32 sum times one float32 number a channel
    RESCALED = "rescaled"  # a product: to real numbers with the bias, then through the range of the output
    AFFINE_SUM = "affine sum"  # a sum of codes, each with a factor
    ONTO_PRODUCT = (
        "onto product"  # a sum, as a step of the product before it, whose quantizer then cuts but rounds not
    )
    SCALED_PRODUCT = "scaled product"  # a product of codes with one factor
    SCALED_MEAN = "scaled mean"  # a sum of codes over positions, with one factor
    RANGED_MEAN = "ranged mean"  # a mean of codes, through the range of the output
    SHIFTED = "shifted"  # in float32, rounded after the zero-point
    RANGED = "ranged"  # in float32, through the range of the output


@dataclass(frozen=True, kw_only=True)
class OperatorRule:
    """Rule of a target for one int8 operator.

    * `output`, `inputs`: where quantizers must and must not stand
    * `fused`: a step of the operator with weights before it, if it alone reads that: no quantizer between them
    * `tied`: all inputs and outputs share one scale and zero-point
    * `preset`: quantized under `op_types: default`; the others only when asked for
    * `windows`: for pools and convolutions, those with which it runs in float, each with what its int8 kernel does
      about them
    * `least`: the fewest elements of a result that its kernel computes as it should; it runs in float where there may
      be fewer, since a size is open
    * `grouped`: for convolutions, whether it runs in int8 in groups too
    * `weightless`: for Gemm and MatMul
    * `operands`: the format of what it reads, where not any will do; of Gemm and MatMul, if both sides are computed. A
      first operand that cannot be negative may have the usual one
    * `any_format`: whether it takes the format that another operator asks for by `operands` or `joined`
    * `joined_along`: the axis along which a Concat may have joined what it reads, where not any will do; what was
      joined along others, and can be negative, must have the format `joined`, or it runs in float where that is None
    * `weight_axis`: of per-channel weights, where the operator has an axis of its own
    * `overflow`: of Softmax, how many times the mean of its output, 1 / length, the range of the quantizer after it
      must be, since its kernel overflows under finer scales; it is used even where the plan leaves Softmax in float
    * `needs_bias`: where several read its result, it is wrong without a bias that is no zero
    * `uneven_bias`: a product of a matrix of as many rows, or fewer, with a quantizer after it is wrong without a bias
      whose numbers differ; 0: none is
    * `packings`: the orders in which its kernels may lay out the weights of a filter, where those are added in pairs
      that saturate (`Cpu`)
    * `kernel`: what its int8 kernel computes, to the bit; None: the same as the float operator between
      DequantizeLinear and QuantizeLinear, or not known
    * `source`: where the fact is from
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
    """Of a backend that tinyint runs, which speaks for itself."""
    del model
    return ()


@dataclass(frozen=True, kw_only=True)
class Target:
    """A backend.

    * `cpu`: the processor that its kernels run on
    * `activation`, `weight`: the default schemes; a per-channel `weight` has axis 0, replaced by the operator's own
    * `clamps_absorbed`: Relu and Clip are dropped where the quantizer after them cuts at the same place
    * `int32_bias`: biases are stored as int32 with s_x · s_w; else they stay float
    * `operators`: the rule of each operator that it runs in int8
    * `quantizer`: what QuantizeLinear by itself computes, where that is not round(x / s) + z
    * `left_float`: why it does not, for operators of which users ask
    * `dynamic`: operators that have kernels with activations quantized at run time
    * `stored_weights`: what is done with weights that are stored in integers, and multiply floats
    * `misreads_points`: whether it takes convolutions of one place with such weights, beside a Transpose or a Reshape,
      for products of matrices whatever their strides, their padding and the order of axes
    * `check`: holds a Q/DQ graph, whoever wrote it, to the rules of the backend
    * `build_commands`: how the backend's own tool makes of a file what it runs, by version; None: tinyint runs the file
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
    stored_weights: str = "the arithmetic is float"
    misreads_points: bool = False
    check: Callable[[ir.Model], Sequence[Violation]] = _breaks_no_rule
    build_commands: Callable[[str], Mapping[str, str]] | None = None
    sources: tuple[str, ...]
