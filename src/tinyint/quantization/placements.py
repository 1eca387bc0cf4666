"""Placements: which of the planned int8 nodes stay in float after all.

A plan quantizes what its target runs in int8. Whether that pays depends on the conversions around it, and on the
processor; so a few placements are candidates, for a race on the runtime to decide between.
"""

from __future__ import annotations

import glob
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from tinyint.graph.flow import is_epilogue
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, facts, is_depthwise, kind_of, op_names
from tinyint.graph.walk import constant_of
from tinyint.quantization.least_cost import least_cost
from tinyint.quantization.plan import Plan
from tinyint.quantization.recipe import Rule
from tinyint.targets import Target
from tinyint.targets.costs import costs_of

__all__ = ["PLANNED", "Placement", "float_rules", "placements"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Planned int8 nodes less those that `rules` of a recipe hold in float."""

    name: str
    rules: tuple[Rule, ...] = ()


PLANNED = Placement(name="as planned")


def placements(
    model: ir.Model, plan: Plan, target: Target, measured: Mapping[str, tuple[float, float]]
) -> list[Placement]:
    """Placements that may be the fastest, the plan's own first.

    `measured`: microseconds of the model's own nodes in float and in int8.

    Those without int8 nodes, or the same as an earlier one, are left out.
    """
    graph = model.graph
    costs = costs_of(target)
    planned = set(plan.int8_nodes)
    int8 = [node for node in graph if name_of(node) in planned]
    weightless = [node for node in int8 if not _has_weights(node) and not _goes_along(node)]
    depthwise = [node for node in int8 if is_depthwise(node)]
    found, seen = [PLANNED], {frozenset[str]()}
    for name, held in (
        ("by cost", least_cost(model, plan, target, costs)),
        ("by its own profile", least_cost(model, plan, target, costs, measured)),
        ("weights' operators only", map(name_of, weightless)),
        ("without depthwise convolutions", map(name_of, depthwise)),
        ("dense weights' operators only", map(name_of, [*weightless, *depthwise])),
    ):
        names = frozenset(held)
        if names not in seen and any(_has_weights(node) and name_of(node) not in names for node in int8):
            seen.add(names)
            found.append(Placement(name=name, rules=float_rules(graph, plan, names)))
    return found


def float_rules(graph: ir.Graph, plan: Plan, held: Collection[str]) -> tuple[Rule, ...]:
    """Fewest rules that hold these int8 nodes in float, and no other.

    One for an operator type whose int8 nodes are all held, one for each other node.
    """
    members: dict[str, set[str]] = {}
    planned = set(plan.int8_nodes)
    for node in graph:
        if name_of(node) in planned:
            for op_type in op_names(node):
                members.setdefault(op_type, set()).add(name_of(node))
    whole = [op_type for op_type, names in members.items() if names <= set(held)]
    left = set(held).difference(*(members[op_type] for op_type in whole))
    types = tuple(Rule(op_type=op_type, float=True) for op_type in _broadest(whole, members))
    return (*types, *(Rule(name=_literal(name), float=True) for name in plan.int8_nodes if name in left))


def _broadest(types: list[str], members: dict[str, set[str]]) -> list[str]:
    """Types less those whose nodes all answer to another one."""
    return [t for t in types if not any(members[t] < members[other] for other in types)]


def _literal(name: str) -> str:
    """Pattern that matches this name alone: no glob, no /regular expression/."""
    escaped = glob.escape(name)
    return f"[/]{escaped[1:]}" if escaped.startswith("/") and escaped.endswith("/") else escaped


def _has_weights(node: ir.Node) -> bool:
    row = facts(node)
    return row is not None and row.weight is not None and constant_of(node.inputs[row.weight]) is not None


def _goes_along(node: ir.Node) -> bool:
    """Whether the node costs nothing by itself: it is part of another, or only moves bytes."""
    return is_epilogue(node) or kind_of(node) is Kind.PRESERVING
