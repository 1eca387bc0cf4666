"""Where quantizers stand: the tensors and constants around the nodes that run in int8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from tinyint.errors import TargetError
from tinyint.graph.flow import settled
from tinyint.graph.ops import Kind, data_inputs, facts, kind_of, weight_axis
from tinyint.graph.walk import constant_of, static_shape
from tinyint.numerics import INT7, INT8, INT16
from tinyint.plan.nodes import Decisions, residual_input
from tinyint.plan.plan import ConstantPlan, Role, Use
from tinyint.recipe import Recipe, Rule
from tinyint.scheme import Scheme
from tinyint.targets import Inputs, Output, Target

__all__ = ["WEIGHT_FORMATS", "Placement", "place"]

WEIGHT_FORMATS = {7: INT7.narrow(), 8: INT8.narrow(), 16: INT16.narrow()}


@dataclass(kw_only=True)
class Placement:
    """Quantizers by tensor name, with the places that read them (None: all), and the constants by place."""

    reads: dict[str, set[Use] | None] = field(default_factory=dict)
    schemes: dict[str, Scheme] = field(default_factory=dict)
    fixed_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    constants: dict[Use, ConstantPlan] = field(default_factory=dict)

    def read_by(self, value: ir.Value, use: Use, scheme: Scheme) -> None:
        """A quantizer on `value` for one reader."""
        assert value.name is not None
        self.schemes.setdefault(value.name, scheme)
        reads = self.reads.setdefault(value.name, set())
        if reads is not None:
            reads.add(use)

    def read_by_all(self, value: ir.Value, scheme: Scheme) -> None:
        """A quantizer on `value` for every reader, the graph's outputs included."""
        assert value.name is not None
        self.schemes.setdefault(value.name, scheme)
        self.reads[value.name] = None


def place(
    graph: ir.Graph, target: Target, recipe: Recipe, rules: dict[str, Rule], decisions: Decisions
) -> Placement:
    """The quantizers that the int8 nodes of `decisions` need on `target`."""
    placement = Placement()
    for node in graph:
        if decisions[node.name or ""] is not None or kind_of(node) is Kind.CLAMP:
            continue
        scheme = activation_scheme(target, recipe, rules.get(node.name or ""))
        for i, value in _quantized_inputs(node, target, decisions):
            placement.read_by(value, (node.name or "", i), scheme)
        _place_outputs(placement, node, target, scheme)
        for i, constant in _constants(node, target, recipe, rules.get(node.name or "")):
            placement.constants[node.name or "", i] = constant
    return placement


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
    """The target's scheme for weights, unless the recipe or the rule chooses, along the operator's own axis."""
    wish = recipe.weights_for(rule)
    qtype = target.weight.qtype if wish.bits is None else WEIGHT_FORMATS[wish.bits]
    operator = target.operators.get(node.op_type)
    axis = weight_axis(node)
    if operator is not None and operator.weight_axis is not None:
        (axis,) = operator.weight_axis
    if wish.granularity == "per_tensor" or target.weight.axis is None:
        axis = None
    return Scheme(qtype=qtype, symmetric=True, axis=axis)


def _quantized_inputs(node: ir.Node, target: Target, decisions: Decisions) -> Iterator[tuple[int, ir.Value]]:
    only = (
        residual_input(node, decisions) if target.operators[node.op_type].inputs is Inputs.RESIDUAL else None
    )
    for i, value in data_inputs(node):
        if constant_of(value) is None and only in (None, i):
            yield i, value


def _place_outputs(placement: Placement, node: ir.Node, target: Target, scheme: Scheme) -> None:
    """A quantizer behind the node where it must stand. Where it may, its readers have asked for it or will."""
    row = facts(node)
    assert row is not None
    required = target.operators[node.op_type].output is Output.REQUIRED
    for out in node.outputs:
        if not required or kind_of(node) is Kind.COMPARE:
            continue
        value = out if kind_of(node) is Kind.PRESERVING else settled(out)
        placement.read_by_all(value, scheme)
        if row.output_range is not None and value is out:
            placement.fixed_ranges[out.name or ""] = row.output_range


def _constants(
    node: ir.Node, target: Target, recipe: Recipe, rule: Rule | None
) -> Iterator[tuple[int, ConstantPlan]]:
    row = facts(node)
    assert row is not None
    for i, value in data_inputs(node):
        if constant_of(value) is None or i == row.weight or kind_of(node) is Kind.PRESERVING:
            continue
        operand = activation_scheme(target, recipe, rule)
        yield i, ConstantPlan(role=Role.OPERAND, scheme=operand)
    if row.weight is not None and constant_of(node.inputs[row.weight]) is not None:
        yield (
            row.weight,
            ConstantPlan(
                role=Role.WEIGHT,
                scheme=weight_scheme(node, target, recipe, rule),
                range=recipe.weights_for(rule).range,
            ),
        )
        if target.int32_bias and _has_plain_bias(node, row.bias):
            assert row.bias is not None
            yield row.bias, ConstantPlan(role=Role.BIAS, scheme=None)


def _has_plain_bias(node: ir.Node, position: int | None) -> bool:
    """Whether the bias is a constant vector, one number a channel."""
    if position is None or position >= len(node.inputs):
        return False
    bias = node.inputs[position]
    shape = static_shape(bias)
    return constant_of(bias) is not None and shape is not None and len(shape) == 1
