"""Placement of quantizers: tensors and constants around int8 nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from tinyint.errors import TargetError
from tinyint.graph.flow import bias_position, is_epilogue, range_source, settled
from tinyint.graph.names import name_of
from tinyint.graph.ops import ALL, All, Kind, data_inputs, facts, kind_of, weight_axis
from tinyint.graph.pixels import pixel_range
from tinyint.graph.walk import constant_of, sole_consumer, static_shape
from tinyint.numbers.granularity import per_axis
from tinyint.numbers.scheme import WEIGHT_FORMATS, Scheme
from tinyint.quantization.plan.biases import fenced_reader, needed_bias
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.gathers import is_misread_gather
from tinyint.quantization.plan.joined import joined_in
from tinyint.quantization.plan.nodes import residual_input
from tinyint.quantization.plan.plan import ConstantPlan, Role, Stretch, Use
from tinyint.quantization.plan.products import holders, is_particular, moves, sources
from tinyint.quantization.plan.requantized import requantized
from tinyint.quantization.plan.windows import window_refusal
from tinyint.quantization.ranges.pair_sums import pair_limit
from tinyint.quantization.recipe import Recipe, Rule
from tinyint.targets import Inputs, Output, Target, WeightAxis

__all__ = ["Placement", "place", "weight_plan"]


_SHORT = 32  # elements of which steps of 1/256 hold the mean in 8 codes


@dataclass(kw_only=True)
class Placement:
    """Quantizers by tensor name, with their readers, and constants by place."""

    reads: dict[str, set[Use] | All] = field(default_factory=dict)
    schemes: dict[str, Scheme] = field(default_factory=dict)
    fixed_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    stretches: dict[str, Stretch] = field(default_factory=dict)
    constants: dict[Use, ConstantPlan] = field(default_factory=dict)
    bias_weights: dict[Use, Use] = field(default_factory=dict)
    fenced: set[str] = field(default_factory=set)
    biases: set[Use] = field(default_factory=set)

    def read_by(self, value: ir.Value, use: Use, scheme: Scheme) -> None:
        """A quantizer on `value` for one reader."""
        assert value.name is not None
        self.schemes.setdefault(value.name, scheme)
        reads = self.reads.setdefault(value.name, set())
        if reads is not ALL:
            reads.add(use)

    def read_by_all(self, value: ir.Value, scheme: Scheme) -> None:
        """A quantizer on `value` for every reader, the graph's outputs included."""
        assert value.name is not None
        self.schemes.setdefault(value.name, scheme)
        self.reads[value.name] = ALL


def place(
    graph: ir.Graph,
    target: Target,
    recipe: Recipe,
    rules: dict[str, Rule],
    decisions: Decisions,
    apart: Collection[ir.Node],
) -> Placement:
    """Quantizers that the int8 nodes of `decisions` need on `target`.

    Those before `apart` serve no others.
    """
    placement = Placement()
    for node in graph:
        if not decisions.runs_int8(node) or is_epilogue(node):
            continue
        scheme = activation_scheme(target, recipe, rules.get(name_of(node)))
        for i, value in _quantized_inputs(node, target, decisions, apart):
            placement.read_by(value, (name_of(node), i), scheme)
        _place_outputs(placement, node, target, scheme)
        placement.constants.update(_constants(node, target, recipe, rules.get(name_of(node))))
        placement.bias_weights.update(_biases(node, target))
    _hold_operands(placement, graph, target, decisions, apart)
    _hold_softmax(placement, graph, target)
    _hold_pixels(placement, graph, target)
    placement.fenced = {name_of(node) for node in graph if _must_be_fenced(node, target, placement)}
    placement.fenced.update(map(name_of, requantized(graph, target, decisions, placement.reads)))
    if target.misreads_gathers:
        gathers = (node for node in graph if is_misread_gather(node, decisions.runs_int8))
        placement.fenced.update(map(name_of, gathers))
    for node in graph:
        if not decisions.runs_int8(node):
            continue
        if (use := needed_bias(node, target, placement.reads)) is not None:
            placement.biases.add(use)
            placement.bias_weights.pop(use, None)
        if (reader := fenced_reader(node, target, placement.reads)) is not None:
            placement.fenced.add(name_of(reader))
    return placement


def _must_be_fenced(node: ir.Node, target: Target, placement: Placement) -> bool:
    """Whether the runtime, seeing quantizers, would run the node by a kernel that is wrong for it."""
    rule = target.operators.get(node.op_type) if facts(node) is not None else None
    return rule is not None and window_refusal(node, rule) is not None and _reads_codes(node, placement)


def _hold_softmax(placement: Placement, graph: ir.Graph, target: Target) -> None:
    """Limits Softmax quantizers to ranges that the target's kernel supports.

    Also after operators that move its output.
    """
    for value in [output for node in graph for output in node.outputs if output.name in placement.reads]:
        source, name = range_source(value), name_of(value)
        softmax = source.producer()
        rule = None if softmax is None else target.operators.get(softmax.op_type)
        if softmax is None or rule is None or rule.overflow is None:
            continue
        scheme = placement.schemes[name]
        steps = scheme.qtype.qmax - (0 if scheme.symmetric else scheme.qtype.qmin)
        most = steps / (
            steps + 1
        )  # the kernel multiplies by 1 / scale without its fraction, and 256 has none
        shape = static_shape(source)
        length = None if shape is None else shape[softmax.attributes.get_int("axis", -1)]
        if length == 1:  # the kernel makes 0 of a 1 that is the last code
            placement.fixed_ranges[name] = 0.0, 2 * most
        elif length is not None and length <= _SHORT:
            placement.fixed_ranges[name] = 0.0, most
        elif length is not None:
            placement.fixed_ranges.pop(name, None)
            placement.stretches[name] = Stretch(1.0, 2 * rule.overflow / length, most)
        elif _reads_codes(softmax, placement):
            # the largest value seen is not below the mean
            placement.fixed_ranges.pop(name, None)
            placement.stretches[name] = Stretch(rule.overflow, 0.0, most)


def _hold_pixels(placement: Placement, graph: ir.Graph, target: Target) -> None:
    """Gives bytes themselves as codes, whatever the recipe says of activations."""
    for value in [output for node in graph for output in node.outputs if output.name in placement.reads]:
        if (pixels := pixel_range(range_source(value))) is None:
            continue
        name, scheme = name_of(value), target.activation
        if scheme.symmetric and pixels == (scheme.qtype.qmin, scheme.qtype.qmax):
            pixels = -pixels[1], pixels[1]  # the range of symmetric codes leaves out the lowest
        placement.schemes[name], placement.fixed_ranges[name] = scheme, pixels


def _reads_codes(node: ir.Node, placement: Placement) -> bool:
    """Whether the node reads quantized values, directly or moved."""
    reader: ir.Node | None = node
    while reader is not None and reader.inputs and (value := reader.inputs[0]) is not None:
        reads = placement.reads.get(name_of(value), set())
        if reads is ALL or (reader.name, 0) in reads:
            return True
        reader = value.producer()
        if kind_of(reader) not in (Kind.PRESERVING, Kind.JOIN, Kind.CLAMP):
            break
    return False


def _hold_operands(
    placement: Placement, graph: ir.Graph, target: Target, decisions: Decisions, apart: Collection[ir.Node]
) -> None:
    """The operands of products take the target's formats for them, wherever their quantizers stand."""

    def passes(node: ir.Node) -> bool:
        return decisions.runs_int8(node) and moves(node, target) and node not in apart

    for node in graph:
        rule = target.operators.get(node.op_type)
        if rule is None or not decisions.runs_int8(node):
            continue
        if rule.joined is not None and joined_in(node, target, decisions) and node.inputs[0] is not None:
            held = sources(node.inputs[0], passes)
            placement.schemes.update({name_of(value): rule.joined for value in held})
        if rule.operands is not None and is_particular(node, rule):
            placement.schemes.update({name_of(value): rule.operands for value in holders(node, passes)})


def activation_scheme(target: Target, recipe: Recipe, rule: Rule | None) -> Scheme:
    """The target's scheme for activations, unless the recipe or the rule chooses.

    Raises TargetError where the target can only do symmetric.
    """
    wish = recipe.activations_for(rule).symmetric
    if wish is None or wish == target.activation.symmetric:
        return target.activation
    if target.activation.symmetric:
        raise TargetError(
            f"{target.name} runs symmetric activations only; remove `activations.symmetric: false`"
        )
    return replace(target.activation, symmetric=True)


def weight_scheme(node: ir.Node, target: Target, recipe: Recipe, rule: Rule | None) -> Scheme:
    """Scheme of weights along the operator's own axis.

    The target's, unless the recipe or the rule chooses.
    """
    wish = recipe.weights_for(rule)
    qtype = target.weight.qtype if wish.bits is None else WEIGHT_FORMATS[wish.bits]
    operator = target.operators.get(node.op_type)
    axis = weight_axis(node)
    per_tensor = wish.granularity == "per_tensor" or target.weight.axis is None
    if axis is None or per_tensor or (operator is not None and operator.weight_axis is WeightAxis.PER_TENSOR):
        return Scheme(qtype=qtype, symmetric=True)
    if operator is not None and isinstance(operator.weight_axis, int):
        axis = operator.weight_axis
    return Scheme(qtype=qtype, symmetric=True, granularity=per_axis(axis))


def weight_plan(node: ir.Node, target: Target, recipe: Recipe, rule: Rule | None) -> ConstantPlan:
    """Storage of an integer product's weight on `target`."""
    operator, scheme = target.operators.get(node.op_type), weight_scheme(node, target, recipe, rule)
    limited = target.cpu.pair_sums_saturate and 2 * scheme.qtype.qmax > pair_limit()
    packings = operator.packings if operator is not None and limited else None
    return ConstantPlan(
        role=Role.WEIGHT,
        scheme=scheme,
        range=recipe.weights_for(rule).range,
        packings=packings,
    )


def _quantized_inputs(
    node: ir.Node, target: Target, decisions: Decisions, apart: Collection[ir.Node]
) -> Iterator[tuple[int, ir.Value]]:
    only = (
        residual_input(node, decisions) if target.operators[node.op_type].inputs is Inputs.RESIDUAL else None
    )
    for i, value in data_inputs(node):
        if constant_of(value) is not None or only not in (None, i):
            continue
        if not _served(value, target, decisions, apart) and not _fused(node, value, target, decisions):
            yield i, value


def _served(value: ir.Value, target: Target, decisions: Decisions, apart: Collection[ir.Node]) -> bool:
    """Whether the quantizers before the operator that made the tensor serve its readers too."""
    producer = value.producer()
    if producer is None or is_epilogue(producer) or not decisions.runs_int8(producer):
        return False
    if producer in apart:
        return False
    return target.operators[producer.op_type].output is Output.TRANSPARENT


def _fused(node: ir.Node, value: ir.Value, target: Target, decisions: Decisions) -> bool:
    """Whether the node is a step of the int8 operator that made the tensor."""
    producer = value.producer()
    return (
        target.operators[node.op_type].fused
        and producer is not None
        and kind_of(producer) is Kind.COMPUTE
        and decisions.runs_int8(producer)
        and sole_consumer(value) is node
    )


def _place_outputs(placement: Placement, node: ir.Node, target: Target, scheme: Scheme) -> None:
    """Adds the required quantizer after the node.

    Where it is optional, its readers have asked for it or will.
    """
    row = facts(node)
    assert row is not None
    required = target.operators[node.op_type].output is Output.REQUIRED
    for out in node.outputs:
        if not required or kind_of(node) is Kind.COMPARE:
            continue
        value = out if kind_of(node) is Kind.PRESERVING else settled(out)
        placement.read_by_all(value, scheme)
        if row.output_range is not None and value is out:
            placement.fixed_ranges[name_of(out)] = row.output_range


def _constants(
    node: ir.Node, target: Target, recipe: Recipe, rule: Rule | None
) -> Iterator[tuple[Use, ConstantPlan]]:
    row = facts(node)
    assert row is not None
    name = name_of(node)
    for i, value in data_inputs(node):
        if constant_of(value) is None or i == row.weight or kind_of(node) is Kind.PRESERVING:
            continue
        yield (name, i), ConstantPlan(role=Role.OPERAND, scheme=activation_scheme(target, recipe, rule))
    if row.weight is not None and constant_of(node.inputs[row.weight]) is not None:
        yield (name, row.weight), weight_plan(node, target, recipe, rule)


def _biases(node: ir.Node, target: Target) -> Iterator[tuple[Use, Use]]:
    """The constant bias of a node with constant weights, if it is stored in integers; and these."""
    row = facts(node)
    if not target.int32_bias or row is None or row.weight is None:
        return
    bias = None if constant_of(node.inputs[row.weight]) is None else _bias(node, row.bias)
    if bias is not None:
        yield bias, (name_of(node), row.weight)


def _bias(node: ir.Node, position: int | None) -> Use | None:
    """Where a constant bias of one number a channel is read: by the node, or by the Add after it."""
    if position is not None and position < len(node.inputs):
        bias = node.inputs[position]
        shape = static_shape(bias)
        return (name_of(node), position) if constant_of(bias) is not None and len(shape or ()) == 1 else None
    reader = sole_consumer(node.outputs[0])
    added = None if reader is None else bias_position(reader)
    return None if reader is None or added is None else (name_of(reader), added)
