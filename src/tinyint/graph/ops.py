"""What the operators are, one row each. What a backend does with them stands in `targets`.

Only operators that can carry int8 values have a row; the others (LayerNormalization, Erf, …) always run
in float, and the planner says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

import onnx_ir as ir

__all__ = [
    "ALL",
    "OPERATORS",
    "All",
    "Kind",
    "OpFacts",
    "data_inputs",
    "facts",
    "kind_of",
    "op_names",
    "weight_axis",
]


class All(Enum):
    """Every one that there is: of inputs, of readers."""

    ALL = "all"


ALL: Final = All.ALL


class Kind(StrEnum):
    """How the range of an operator's output follows from its inputs."""

    COMPUTE = "compute"  # multiply-accumulates: a new range, wide accumulators, a bias
    CLAMP = "clamp"  # Relu, Clip: a quantizer whose range ends there does the same
    PRESERVING = "preserving"  # moves or drops values: the output shares the input's scale
    AVERAGE = "average"  # values between those of the input
    ELEMENTWISE = "elementwise"  # arithmetic on several tensors: a new range
    ACTIVATION = "activation"  # a function of one tensor: a new range, often known beforehand
    JOIN = "join"  # several tensors side by side
    COMPARE = "compare"  # numbers in, booleans or indices out


@dataclass(frozen=True, kw_only=True)
class OpFacts:
    """One operator.

    * `data`: the inputs that carry activations
    * `weight`: the input that is a weight when it is constant
    * `bias`: the input that is added to the accumulator
    * `output_range`: what the output can hold, where the operator bounds it
    """

    kind: Kind
    data: tuple[int, ...] | All = (0,)
    weight: int | None = None
    bias: int | None = None
    output_range: tuple[float, float] | None = None


_PRESERVING = (
    "MaxPool GlobalMaxPool Reshape Flatten Transpose Squeeze Unsqueeze Slice Gather Split Expand Tile "
    "DepthToSpace SpaceToDepth Resize Pad"
)
_COMPARE = "ArgMax ArgMin Equal Greater GreaterOrEqual Less LessOrEqual"

OPERATORS: dict[str, OpFacts] = {
    "Conv": OpFacts(kind=Kind.COMPUTE, weight=1, bias=2),
    "ConvTranspose": OpFacts(kind=Kind.COMPUTE, weight=1, bias=2),
    "Gemm": OpFacts(kind=Kind.COMPUTE, data=(0, 1), weight=1, bias=2),
    "MatMul": OpFacts(kind=Kind.COMPUTE, data=(0, 1), weight=1),
    "Relu": OpFacts(kind=Kind.CLAMP),
    "Clip": OpFacts(kind=Kind.CLAMP),
    "Add": OpFacts(kind=Kind.ELEMENTWISE, data=ALL),
    "Sub": OpFacts(kind=Kind.ELEMENTWISE, data=ALL),
    "Mul": OpFacts(kind=Kind.ELEMENTWISE, data=ALL),
    "Concat": OpFacts(kind=Kind.JOIN, data=ALL),
    "AveragePool": OpFacts(kind=Kind.AVERAGE),
    "GlobalAveragePool": OpFacts(kind=Kind.AVERAGE),
    "ReduceMean": OpFacts(kind=Kind.AVERAGE),
    "Sigmoid": OpFacts(kind=Kind.ACTIVATION, output_range=(0.0, 1.0)),
    "Softmax": OpFacts(kind=Kind.ACTIVATION, output_range=(0.0, 1.0)),
    "LeakyRelu": OpFacts(kind=Kind.ACTIVATION),
    **{name: OpFacts(kind=Kind.PRESERVING) for name in _PRESERVING.split()},
    **{name: OpFacts(kind=Kind.COMPARE, data=ALL) for name in _COMPARE.split()},
}


def facts(node: ir.Node) -> OpFacts | None:
    """The row of the node's operator, or None if it can only run in float."""
    if node.domain not in ("", "ai.onnx"):
        return None
    return OPERATORS.get(node.op_type)


def kind_of(node: ir.Node | None) -> Kind | None:
    """The kind of the node's operator; None for no node, or an operator without a row.

    Resize is preserving only in its nearest mode, and averaging in the others; Pad only where it fills with zeros or
    with values of its input, as another number may be outside their range.
    """
    row = None if node is None else facts(node)
    if row is None or node is None:
        return None
    if node.op_type == "Resize":
        mode = node.attributes.get_string("mode", "nearest")
        return Kind.PRESERVING if mode == "nearest" else Kind.AVERAGE
    if node.op_type == "Pad" and _fills(node):
        return Kind.ELEMENTWISE
    return row.kind


def _fills(pad: ir.Node) -> bool:
    """Whether a Pad puts anything but zeros and values of its input around that."""
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    if value is None or pad.attributes.get_string("mode", "constant") != "constant":
        return False
    constant = ir.convenience.get_const_tensor(value)
    return constant is None or bool(constant.numpy().any())


def op_names(node: ir.Node) -> tuple[str, ...]:
    """The operator types that a rule may call the node by.

    A depthwise convolution, the most delicate layer of the mobile networks, answers to a name of its own as well.
    """
    return ("Conv", "DepthwiseConv") if is_depthwise(node) else (node.op_type,)


def is_depthwise(node: ir.Node) -> bool:
    """Whether every group of the convolution has one input channel."""
    if node.op_type != "Conv" or node.attributes.get_int("group", 1) == 1:
        return False
    weight = node.inputs[1]
    return weight is not None and weight.shape is not None and weight.shape[1] == 1


def data_inputs(node: ir.Node) -> Iterable[tuple[int, ir.Value]]:
    """The inputs that may carry quantized values, with their positions; weights and biases included if not constant."""
    row = facts(node)
    if row is None:
        return
    positions = range(len(node.inputs)) if row.data is ALL else row.data
    for i in positions:
        value = node.inputs[i] if i < len(node.inputs) else None
        if value is not None:
            yield i, value


def weight_axis(node: ir.Node) -> int | None:
    """The axis of the weight that counts the output channels, or None where one scale must do.

    Conv (M, C/g, …): 0. ConvTranspose (C, M/g, …): 1, and only if ungrouped, since a group's channels share an index.
    Gemm: 1, or 0 under transB. MatMul (K, N): 1; a batch of matrices has no one output axis.
    """
    match node.op_type:
        case "Conv":
            return 0
        case "ConvTranspose":
            return 1 if node.attributes.get_int("group", 1) == 1 else None
        case "Gemm":
            return 0 if node.attributes.get_int("transB", 0) else 1
        case "MatMul":
            shape = None if node.inputs[1] is None else node.inputs[1].shape
            return 1 if shape is not None and len(shape) == 2 else None
    return None
