"""Facts about operators, one row each; facts about backends are in `targets`.

Only operators that can carry int8 values have a row. The others (LayerNormalization, Erf, …) always run in float, and
the planner says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Final

import onnx_ir as ir

from tinyint.graph.layout import WeightLayout

__all__ = [
    "ALL",
    "COMPARISONS",
    "INTEGER_FORMS",
    "OPERATORS",
    "All",
    "IntegerForm",
    "Kind",
    "OpFacts",
    "data_inputs",
    "facts",
    "is_convolution",
    "is_weighted",
    "kind_of",
    "layout_of",
    "op_names",
    "weight_axis",
]


class All(Enum):
    """Marker for all inputs, or all readers, however many there are."""

    ALL = "all"


ALL: Final = All.ALL


class Kind(StrEnum):
    """Relation of an operator's output range to its inputs."""

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
    """Facts about one operator.

    * `data`: inputs that carry activations
    * `weight`: input that is a weight when it is constant
    * `layout`: axes of the weight; `transposed_by`: attribute that puts its outputs first
    * `bias`: input that is added to the accumulator
    * `channel_axis`: axis of the output channels in the output
    * `output_range`: range of the output, if the operator bounds it
    """

    kind: Kind
    data: tuple[int, ...] | All = (0,)
    weight: int | None = None
    layout: WeightLayout | None = None
    transposed_by: str | None = None
    bias: int | None = None
    channel_axis: int = 1
    output_range: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class IntegerForm:
    """Integer operator: the float operator that it `stands_for`, and its weight input."""

    stands_for: str
    weight: int


_PRESERVING = (
    "MaxPool GlobalMaxPool Reshape Flatten Transpose Squeeze Unsqueeze Slice Gather Split Expand Tile "
    "DepthToSpace SpaceToDepth Resize Pad"
)
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")

_FILTERS = WeightLayout(kernel=True, outputs_first=True)

OPERATORS: dict[str, OpFacts] = {
    "Conv": OpFacts(kind=Kind.COMPUTE, weight=1, layout=_FILTERS, bias=2),
    "ConvTranspose": OpFacts(
        kind=Kind.COMPUTE, weight=1, layout=replace(_FILTERS, outputs_first=False), bias=2
    ),
    "Gemm": OpFacts(
        kind=Kind.COMPUTE, data=(0, 1), weight=1, layout=WeightLayout(), transposed_by="transB", bias=2
    ),
    "MatMul": OpFacts(
        kind=Kind.COMPUTE, data=(0, 1), weight=1, layout=WeightLayout(batched=True), channel_axis=-1
    ),
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
    **{name: OpFacts(kind=Kind.COMPARE, data=ALL) for name in ("ArgMax", "ArgMin", *COMPARISONS)},
}

INTEGER_FORMS = {
    "MatMulInteger": IntegerForm(stands_for="MatMul", weight=1),
    "ConvInteger": IntegerForm(stands_for="Conv", weight=1),
    "QLinearMatMul": IntegerForm(stands_for="MatMul", weight=3),
    "QLinearConv": IntegerForm(stands_for="Conv", weight=3),
}


def facts(node: ir.Node) -> OpFacts | None:
    """Row of the node's operator; None if it can only run in float."""
    if node.domain not in ("", "ai.onnx"):
        return None
    return OPERATORS.get(node.op_type)


def kind_of(node: ir.Node | None) -> Kind | None:
    """Kind of the node's operator; None without a node or row.

    Resize preserves values in its nearest mode only, and averages them in the others. Pad preserves them if it fills
    with zeros or with values of its input; another number may lie outside their range.
    """
    row = None if node is None else facts(node)
    if row is None or node is None:
        return None
    if node.op_type == "Resize":
        mode = node.attributes.get_string("mode", "nearest")
        return Kind.PRESERVING if mode == "nearest" else Kind.AVERAGE
    if node.op_type == "Pad" and _adds_values(node):
        return Kind.ELEMENTWISE
    return row.kind


def _adds_values(pad: ir.Node) -> bool:
    """Whether a Pad fills with anything but zeros and values of its input."""
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    if value is None or pad.attributes.get_string("mode", "constant") != "constant":
        return False
    constant = ir.convenience.get_const_tensor(value)
    return constant is None or bool(constant.numpy().any())


def op_names(node: ir.Node) -> tuple[str, ...]:
    """Operator names under which a rule may address the node.

    A depthwise convolution, the most delicate layer of mobile networks, has a second name.
    """
    return ("Conv", "DepthwiseConv") if is_depthwise(node) else (node.op_type,)


def is_depthwise(node: ir.Node) -> bool:
    """Whether the node is a convolution with one input channel per group."""
    if node.op_type != "Conv" or node.attributes.get_int("group", 1) == 1:
        return False
    weight = node.inputs[1]
    return weight is not None and weight.shape is not None and weight.shape[1] == 1


def data_inputs(node: ir.Node) -> Iterable[tuple[int, ir.Value]]:
    """(position, value) of the inputs that carry activations; a weight may be among them."""
    row = facts(node)
    if row is None:
        return
    positions = range(len(node.inputs)) if row.data is ALL else row.data
    for i in positions:
        value = node.inputs[i] if i < len(node.inputs) else None
        if value is not None:
            yield i, value


def is_weighted(node: ir.Node) -> bool:
    """Whether the operator multiplies by weights (Conv, ConvTranspose, Gemm, MatMul)."""
    row = facts(node)
    return row is not None and row.weight is not None


def is_convolution(node: ir.Node) -> bool:
    """Whether the operator is a convolution, transposed or not."""
    return is_weighted(node) and layout_of(node).kernel


def layout_of(node: ir.Node) -> WeightLayout:
    """Layout of the weights of an operator or its integer form."""
    form = INTEGER_FORMS.get(node.op_type)
    row = facts(node) if form is None else OPERATORS[form.stands_for]
    assert row is not None
    assert row.layout is not None
    transposed = row.transposed_by is not None and node.attributes.get_int(row.transposed_by, 0) != 0
    return replace(
        row.layout,
        outputs_first=row.layout.outputs_first or transposed,
        groups=node.attributes.get_int("group", 1),
    )


def weight_axis(node: ir.Node) -> int | None:
    """Axis of the output channels in the weight.

    None if one scale must do, or without weights.
    """
    row = facts(node)
    if row is None or row.weight is None:
        return None
    weight = node.inputs[row.weight]
    return layout_of(node).scale_axis(0 if weight is None or weight.shape is None else len(weight.shape))
