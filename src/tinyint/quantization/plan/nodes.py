"""Choice of int8 nodes, with reasons for the others."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from tinyint.graph.flow import bias_position, clamp_range, is_epilogue, settled
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, data_inputs, facts, kind_of, op_names
from tinyint.graph.pixels import pixel_range
from tinyint.graph.walk import constant_of, consumers, is_float32, sole_consumer, static_shape
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.products import held_apart, is_particular
from tinyint.quantization.plan.windows import window_refusal
from tinyint.quantization.recipe import Recipe, Rule
from tinyint.targets import Inputs, OperatorRule, Output, Target, Weightless

__all__ = ["decide", "residual_input"]

_BESIDE_FLOAT = "its inputs come from float operators, so quantizing it would only add cost"
_GIVEN_FLOAT = "the int8 operators before it give float results here, so quantizing it would only add cost"


def decide(
    graph: ir.Graph, target: Target, recipe: Recipe, rules: Mapping[str, Rule], held: Mapping[str, str]
) -> Decisions:
    """One decision per node of the main graph, in graph order.

    `held` are nodes that stay in float, with the reason.

    Operators with weights are decided on their own. The others follow: they run in int8 where a tensor that is
    quantized anyway reaches them, and epilogues go with the operator before them. Operators that only move values
    need an int8 reader too, and join what was moved to what reads it.
    """
    decisions = Decisions(graph)
    for node in graph:
        if (reason := _refusal(node, target, recipe, rules, held)) is not None:
            decisions.keep_float(node, reason)
    for node in graph:  # topological order, so that every producer is settled before its readers
        if decisions.runs_int8(node) and kind_of(node) is not Kind.COMPUTE:
            reason = _refusal_by_neighbours(node, target, recipe, decisions)
            if reason is not None:
                decisions.keep_float(node, reason)
    for node in reversed(graph):
        if kind_of(node) is Kind.PRESERVING and not _feeds_int8(node, decisions):
            decisions.keep_float(node, "no int8 operator reads its output")
    return decisions


def _refusal(
    node: ir.Node, target: Target, recipe: Recipe, rules: Mapping[str, Rule], held: Mapping[str, str]
) -> str | None:
    """Why the node cannot or shall not be quantized, whatever stands around it."""
    name = name_of(node)
    if name in rules and rules[name].float:
        rule = rules[name]
        return f"kept in float, as the recipe asks for {rule.name or rule.op_type or rule.scope}"
    if facts(node) is None:
        if pixel_range(node.outputs[0]) is not None:
            return "it says what the codes of pixels stand for"
        holds_graph = any(a.type == ir.AttributeType.GRAPH for a in node.attributes.values())
        return f"{node.op_type} has no int8 form{' and holds a subgraph' if holds_graph else ''}"
    if name in held:
        return held[name]
    if bias_position(node) is not None:
        return None
    if kind_of(node) is Kind.CLAMP:
        return None if clamp_range(node) else "its bounds are not constant, or leave zero out"
    operator = target.operators.get(node.op_type)
    if operator is None or _interpolates(node):
        known = _described(node) if _interpolates(node) else node.op_type
        return target.left_float.get(known, f"{target.name} has no rule for {_described(node)} in int8")
    return _rule_refusal(node, operator, target, recipe)


def _rule_refusal(node: ir.Node, operator: OperatorRule, target: Target, recipe: Recipe) -> str | None:
    """Why not, though the target has a rule for the operator."""
    kind = kind_of(node)
    if not _requested(node, operator, recipe):
        return f"{node.op_type} is not among the operator types of the recipe"
    if not all(is_float32(value) for _, value in data_inputs(node)):
        unknown = any(value.dtype is None for _, value in data_inputs(node))
        return "the type of its inputs cannot be inferred" if unknown else "its inputs are not float32"
    if (told := window_refusal(node, operator)) is not None:
        return f"the int8 kernel of {target.name} {told}"
    if not operator.grouped and node.attributes.get_int("group", 1) != 1:
        return f"{target.name} has no int8 {node.op_type} in groups"
    if kind is Kind.JOIN and operator.output is Output.TRANSPARENT and _reads_constant(node):
        return f"it joins a constant, whose scale is another, and {target.name} has no int8 product of two scales"
    return _compute_refusal(node, operator, target, recipe) if kind is Kind.COMPUTE else None


def _reads_constant(node: ir.Node) -> bool:
    return any(constant_of(value) is not None for value in node.inputs)


def _interpolates(node: ir.Node) -> bool:
    """True for interpolating Resize modes; the target's rule covers nearest only."""
    return node.op_type == "Resize" and kind_of(node) is not Kind.PRESERVING


def _described(node: ir.Node) -> str:
    mode = node.attributes.get_string("mode", "") if node.op_type == "Resize" else ""
    return f"{node.op_type} ({mode})" if mode else node.op_type


def _requested(node: ir.Node, operator: OperatorRule, recipe: Recipe) -> bool:
    if recipe.op_types == "all" or kind_of(node) is Kind.PRESERVING:
        return True
    if recipe.op_types == "default":
        return operator.preset
    return bool(set(op_names(node)) & set(recipe.op_types))


def _compute_refusal(node: ir.Node, operator: OperatorRule, target: Target, recipe: Recipe) -> str | None:
    row = facts(node)
    assert row is not None
    assert row.weight is not None
    weight = constant_of(node.inputs[row.weight])
    if constant_of(node.inputs[0]) is not None:
        return "its first input is constant"
    if node.op_type == "MatMul" and any(len(static_shape(v) or (0, 0)) == 1 for v in node.inputs):
        return "one of its operands is a vector, of which runtimes in int8 make a matrix"
    if weight is not None and not weight.size:
        return "its weights are empty"
    match operator.weightless if weight is None else None:
        case Weightless.NEVER:
            return target.left_float.get(f"{node.op_type} of two activations", "its weights are not constant")
        case Weightless.ON_REQUEST if recipe.op_types != "all":
            return "a product of two computed tensors, which does not pay in int8 here (op_types: all has it)"
    if is_particular(node, operator) and not held_apart(node, target):
        return (
            f"{target.name} has it for {operator.operands} only, and others read an operand in another format"
        )
    return None


def _refusal_by_neighbours(node: ir.Node, target: Target, recipe: Recipe, decisions: Decisions) -> str | None:
    """Why a node without weights stays in float, given the decisions on what feeds it."""
    if is_epilogue(node):
        belongs = _belongs_to_int8(node, decisions)
        return None if belongs else "the operator before it runs in float, or others read it"
    computed = [value for _, value in data_inputs(node) if constant_of(value) is None]
    if not computed:
        return "its data are constant"
    if _reached_by_int8(node, computed, target, recipe, decisions):
        return None
    given = any(_output_rule(value, target, decisions) is not None for value in computed)
    return _GIVEN_FLOAT if given else _BESIDE_FLOAT


def _reached_by_int8(
    node: ir.Node, computed: list[ir.Value], target: Target, recipe: Recipe, decisions: Decisions
) -> bool:
    """Whether the node's inputs are quantized anyway, or worth quantizing."""
    if target.operators[node.op_type].inputs is Inputs.RESIDUAL:
        return residual_input(node, decisions) is not None
    if kind_of(node) is Kind.PRESERVING:
        return all(_made_in_int8(value, target, decisions) for value in computed)
    others = [value for value in computed if not _held_in_int8(value, target, recipe, decisions)]
    quantized = all(_quantized_for_weights(value, decisions) for value in others)
    if len(others) < len(computed):
        return quantized or _feeds_int8(node, decisions)
    # Nothing calls for it, but between quantizers that stand anyway it costs nothing.
    return quantized and _feeds_int8(node, decisions)


def _held_in_int8(value: ir.Value, target: Target, recipe: Recipe, decisions: Decisions) -> bool:
    """Whether the tensor is int8 already when it arrives: made by an int8 operator whose output is quantized.

    Where the recipe asks for every operator, one whose output may be quantized will do.
    """
    rule = _output_rule(value, target, decisions)
    return rule in (Output.REQUIRED, Output.ON_DEMAND, Output.TRANSPARENT) or (
        rule is Output.OPTIONAL and recipe.op_types == "all"
    )


def _made_in_int8(value: ir.Value, target: Target, decisions: Decisions) -> bool:
    """Whether the tensor is int8, or could be at no cost.

    Of an int8 operator that a quantizer may follow.
    """
    return _output_rule(value, target, decisions) not in (None, Output.FORBIDDEN)


def _output_rule(value: ir.Value, target: Target, decisions: Decisions) -> Output | None:
    """Rule of the int8 operator before the tensor and its epilogues.

    None if it is from no such one.
    """
    producer = value.producer()
    while producer is not None and decisions.runs_int8(producer) and is_epilogue(producer):
        source = producer.inputs[1 if bias_position(producer) == 0 else 0]
        producer = None if source is None else source.producer()
    if producer is None or not decisions.runs_int8(producer):
        return None
    return target.operators[producer.op_type].output


def residual_input(node: ir.Node, decisions: Decisions) -> int | None:
    """Index of the skip connection among the inputs of an Add.

    The one that comes the shorter way, if the other is a Conv's.

    The longer way ends in an int8 operator with weights, which adds the skip connection in its own epilogue.
    """
    values = dict(data_inputs(node))
    if len(values) != 2 or any(constant_of(value) is not None for value in values.values()):
        return None
    weighted = {i for i, value in values.items() if _made_by_int8_weights(value, decisions)}
    if not weighted:
        return None
    main = max(weighted, key=lambda i: (_depth(values[i]), -i))
    return next(i for i in values if i != main)


def _made_by_int8_weights(value: ir.Value, decisions: Decisions) -> bool:
    producer = value.producer()
    return (
        producer is not None
        and kind_of(producer) is Kind.COMPUTE
        and decisions.runs_int8(producer)
        and sole_consumer(value) is not None
    )


def _depth(value: ir.Value) -> int:
    """Operators with weights on the way back to the next fork."""
    depth, producer = 0, value.producer()
    while producer is not None and producer.inputs and producer.inputs[0] is not None:
        depth += kind_of(producer) is Kind.COMPUTE
        source = producer.inputs[0]
        if len(consumers(source)) > 1:
            break
        producer = source.producer()
    return depth


def _quantized_for_weights(value: ir.Value, decisions: Decisions) -> bool:
    """Whether an int8 operator with weights reads the tensor.

    Then it has a quantizer already.
    """
    readers = [node for node, _ in consumers(value) if kind_of(node) is Kind.COMPUTE]
    return any(map(decisions.runs_int8, readers))


def _feeds_int8(node: ir.Node, decisions: Decisions) -> bool:
    readers = [reader for out in node.outputs for reader, _ in consumers(settled(out))]
    return any(map(decisions.runs_int8, readers))


def _belongs_to_int8(epilogue: ir.Node, decisions: Decisions) -> bool:
    """Whether the operator before the epilogue runs in int8, and nothing else reads what it makes."""
    source = epilogue.inputs[1 if bias_position(epilogue) == 0 else 0]
    producer = None if source is None else source.producer()
    return (
        source is not None
        and producer is not None
        and sole_consumer(source) is epilogue
        and kind_of(producer) in (Kind.COMPUTE, Kind.ELEMENTWISE, Kind.AVERAGE)
        and decisions.runs_int8(producer)
    )
