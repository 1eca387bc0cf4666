"""`plan(model, target, recipe) -> Plan`: what quantization will do, before anything is changed."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.flow import settled
from tinyint.graph.ops import Kind, kind_of, op_names
from tinyint.graph.walk import consumers
from tinyint.plan.nodes import Decisions, decide
from tinyint.plan.plan import ConstantPlan, Plan, Role, TensorPlan, Use
from tinyint.plan.tensors import Placement, place
from tinyint.plan.ties import cut_of, groups
from tinyint.recipe import Recipe, match_rules
from tinyint.targets import Target

__all__ = ["ConstantPlan", "Plan", "Role", "TensorPlan", "Use", "plan"]


def plan(model: ir.Model, target: Target, recipe: Recipe) -> Plan:
    """Plans static quantization of a prepared model (see `graph.prepare`).

    Raises RecipeError for a rule or pattern that matches nothing, ModelError where nothing could run in int8.
    """
    graph = model.graph
    rules = match_rules(recipe, [(node.name or "", op_names(node)) for node in graph])
    decisions = decide(graph, target, recipe, rules)
    if all(decisions[node.name or ""] is not None for node in graph):
        seen = ", ".join(sorted({node.op_type for node in graph}))
        raise ModelError(
            f"nothing in the model would run in int8 on {target.name}: its operators are {seen}; "
            "quantize Conv, Gemm or MatMul, or loosen the recipe's rules"
        )
    placement = place(graph, target, recipe, rules, decisions)
    group_of = groups(graph, target, decisions, placement.reads)
    return Plan(
        target=target.name,
        tensors={name: _tensor(name, placement, group_of[name]) for name in placement.reads},
        constants=placement.constants,
        absorbed=_absorbed(graph, target, decisions, placement, group_of),
        int8_nodes=tuple(name for name, reason in decisions.items() if reason is None),
        float_nodes={name: reason for name, reason in decisions.items() if reason is not None},
    )


def _tensor(name: str, placement: Placement, group: str) -> TensorPlan:
    reads = placement.reads[name]
    return TensorPlan(
        scheme=placement.schemes[name],
        group=group,
        reads=None if reads is None else frozenset(reads),
        fixed_range=placement.fixed_ranges.get(name),
    )


def _absorbed(
    graph: ir.Graph, target: Target, decisions: Decisions, placement: Placement, group_of: dict[str, str]
) -> frozenset[str]:
    """The clamps that can go: the quantizer behind them, read by all, cuts at the same place or inside.

    A symmetric signed quantizer does not cut at zero, and one that shares its scale with a tensor that is clamped
    otherwise cuts elsewhere; there the clamp stays.
    """
    if not target.clamps_absorbed:
        return frozenset()
    cuts: dict[str, set[tuple[float, float] | None]] = {}
    values = {v.name or "": v for v in (*graph.inputs, *(v for node in graph for v in node.outputs))}
    for name, group in group_of.items():
        if kind_of(values[name].producer()) not in (Kind.PRESERVING, Kind.JOIN):
            cuts.setdefault(group, set()).add(cut_of(values[name]))
    absorbed: set[str] = set()
    for node in graph:
        if kind_of(node) is not Kind.CLAMP or decisions[node.name or ""] is not None:
            continue
        value = settled(node.outputs[0])
        name = value.name or ""
        scheme = placement.schemes.get(name)
        if scheme is None or (scheme.symmetric and scheme.qtype.signed):
            continue
        if len(cuts[group_of[name]]) == 1 and _all_read_quantized(value, placement.reads[name]):
            absorbed.add(node.name or "")
    return frozenset(absorbed)


def _all_read_quantized(value: ir.Value, reads: set[Use] | None) -> bool:
    if reads is None:
        return True
    return not value.is_graph_output() and all((node.name, i) in reads for node, i in consumers(value))
