"""`plan(model, target, recipe) -> Plan`: decisions, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.dead_zones import live_range
from tinyint.graph.flow import range_source, settled
from tinyint.graph.names import name_of
from tinyint.graph.ops import ALL, All, Kind, facts, kind_of, op_names
from tinyint.graph.walk import constant_of, consumers
from tinyint.numbers.numerics import qparams_from_range
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.joined import unjoinable
from tinyint.quantization.plan.joins import refused
from tinyint.quantization.plan.masks import masking
from tinyint.quantization.plan.nodes import decide
from tinyint.quantization.plan.norms import norms
from tinyint.quantization.plan.plan import ConstantPlan, Plan, Role, TensorPlan, Use
from tinyint.quantization.plan.tensors import Placement, activation_scheme, place
from tinyint.quantization.plan.ties import StepOf, cut_of, tie
from tinyint.quantization.ranges import find_range
from tinyint.quantization.recipe import Recipe, match_rules
from tinyint.targets import Target

__all__ = ["ConstantPlan", "Plan", "Role", "TensorPlan", "Use", "plan"]


def plan(
    model: ir.Model,
    target: Target,
    recipe: Recipe,
    record: CalibrationRecord | None = None,
    *,
    rejected: Mapping[str, str] | None = None,
) -> Plan:
    """Plans static quantization of a prepared model (see `graph.prepare`).

    Without a record it is not known which tensors are too unlike to share a scale, or hold masks; none is taken to.
    `rejected`: nodes that the runtime does not take in int8 here (`trial`), with the reason.
    Raises RecipeError for a rule or pattern that matches nothing, ModelError where nothing could run in int8.
    """
    graph = model.graph
    rules = match_rules(recipe, [(name_of(node), op_names(node)) for node in graph])
    step_of = None if record is None else _steps(target, recipe, record)
    held = norms(graph) | ({} if record is None else masking(graph, record)) | dict(rejected or {})
    while True:  # what is refused changes what is around it; each turn refuses more
        decisions = decide(graph, target, recipe, rules, held)
        ties = tie(graph, target, decisions, step_of)
        more = refused(graph, decisions, ties) | unjoinable(graph, target, decisions)
        if not more:
            break
        held.update(more)
    if not decisions.int8_nodes:
        seen = ", ".join(sorted({node.op_type for node in graph}))
        weighted = (node for node in graph if kind_of(node) is Kind.COMPUTE)
        first = next((f" ({node.name}: {decisions.why_float(node)})" for node in weighted), "")
        inside = [n for n in graph.all_nodes() if n.graph is not graph and kind_of(n) is Kind.COMPUTE]
        if inside:
            raise ModelError(
                f"nothing in the model would run in int8 on {target.name}: {len(inside)} products lie in the bodies of "
                f"If, Loop or Scan ({inside[0].name!r} is the first), into which static and dynamic quantization do "
                "not go; the recipe weight_only stores their weights in integers"
            )
        raise ModelError(
            f"nothing in the model would run in int8 on {target.name}: its operators are {seen}{first}; "
            "quantize Conv, Gemm or MatMul, or loosen the recipe's rules"
        )
    placement = place(graph, target, recipe, rules, decisions, ties.apart)
    group_of = ties.groups(placement.reads)
    return Plan(
        target=target.name,
        tensors=_tensors(graph, placement, group_of),
        constants=placement.constants,
        bias_weights=placement.bias_weights,
        absorbed=_absorbed(graph, target, decisions, placement, group_of),
        fenced=frozenset(placement.fenced),
        biases=frozenset(placement.biases),
        int8_nodes=decisions.int8_nodes,
        float_nodes=decisions.float_nodes,
    )


def _steps(target: Target, recipe: Recipe, record: CalibrationRecord) -> StepOf:
    scheme = activation_scheme(target, recipe, None)
    known: dict[str, float | None] = {}

    def found(source: ir.Value) -> float | None:
        array, producer = constant_of(source), source.producer()
        row = None if producer is None else facts(producer)
        summary = record.summaries.get(name_of(source))
        if array is not None and array.size and np.isfinite(array).all():
            lo, hi = float(array.min(initial=0.0)), float(array.max(initial=0.0))
        elif row is not None and row.output_range is not None:
            lo, hi = row.output_range
        elif summary is not None and summary.samples:
            lo, hi = find_range(summary, recipe.range_method, scheme, live_range(source))
        else:
            return None
        scale = qparams_from_range(lo, hi, qtype=scheme.qtype, symmetric=scheme.symmetric).scale
        return float(scale) if hi > lo else None

    def step(value: ir.Value) -> float | None:
        source = range_source(value)
        name = name_of(source)
        if name not in known:
            known[name] = found(source)
        return known[name]

    return step


def _tensors(graph: ir.Graph, placement: Placement, group_of: Mapping[str, str]) -> dict[str, TensorPlan]:
    values = {name_of(value): value for value in (*graph.inputs, *(v for n in graph for v in n.outputs))}
    return {
        name: TensorPlan(
            scheme=placement.schemes[name],
            group=group_of[name],
            reads=ALL if reads is ALL else frozenset(reads),
            fixed_range=placement.fixed_ranges.get(name),
            stretch=placement.stretches.get(name),
            live_range=live_range(values[name]),
        )
        for name, reads in placement.reads.items()
    }


def _absorbed(
    graph: ir.Graph, target: Target, decisions: Decisions, placement: Placement, group_of: dict[str, str]
) -> frozenset[str]:
    """The clamps that can go: the quantizer after them, read by all, cuts at the same place or inside.

    A symmetric signed quantizer does not cut at zero, and one that shares its scale with a tensor that is clamped
    otherwise cuts elsewhere; there the clamp stays.
    """
    if not target.clamps_absorbed:
        return frozenset()
    cuts: dict[str, set[tuple[float, float] | None]] = {}
    values = {name_of(v): v for v in (*graph.inputs, *(v for node in graph for v in node.outputs))}
    for name, group in group_of.items():
        if kind_of(values[name].producer()) not in (Kind.PRESERVING, Kind.JOIN):
            cuts.setdefault(group, set()).add(cut_of(values[name]))
    absorbed: set[str] = set()
    for node in graph:
        if kind_of(node) is not Kind.CLAMP or not decisions.runs_int8(node):
            continue
        value = settled(node.outputs[0])
        name = name_of(value)
        scheme = placement.schemes.get(name)
        if scheme is None or (scheme.symmetric and scheme.qtype.signed):
            continue
        if len(cuts[group_of[name]]) == 1 and _all_read_quantized(value, placement.reads[name]):
            absorbed.add(name_of(node))
    return frozenset(absorbed)


def _all_read_quantized(value: ir.Value, reads: set[Use] | All) -> bool:
    if reads is ALL:
        return True
    return not value.is_graph_output() and all((node.name, i) in reads for node, i in consumers(value))
