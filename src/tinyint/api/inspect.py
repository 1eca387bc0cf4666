"""The verb `inspect`: contents of any model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tinyint.api.given_model import GivenModel, Model
from tinyint.api.opening import runtime_for
from tinyint.errors import ModelError
from tinyint.graph.io import is_quantized
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, kind_of
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import macs, uncounted
from tinyint.metadata import FLOAT_NODES, METHOD, TARGET, VERSION
from tinyint.proof import TensorRow
from tinyint.proof.coverage import FloatNode
from tinyint.proof.prove import tensor_rows
from tinyint.proof.saturation import saturation
from tinyint.quantization.plan import plan
from tinyint.quantization.qdq import declares_int8
from tinyint.quantization.recipe_source import RecipeSource, resolve_recipe
from tinyint.runtimes import Executed
from tinyint.targets import TARGETS, get_target, violations
from tinyint.tasks import postprocessing_of, task_of
from tinyint.tasks.tails import Suppression, suppression_of

__all__ = ["CONVERSIONS", "Inspection", "Planned", "inspect"]

CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Plan of a float model for one target; `problem` says why none."""

    target: str
    macs_int8: float | None
    nodes_int8: int
    float_nodes: tuple[FloatNode, ...]
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Contents of a model.

    * `quantized`: whether it holds integer operators; `made_by`: the version of tinyint, None for another tool's
    * `task`: what it is for; `postprocessing`: what it does after the network; `suppression`: which boxes it leaves
    * `operators`: how many nodes of each type
    * `executed`: the nodes that the runtime really runs, of a quantized model; empty if it does not run here
    * `declared`: those of the file in that case, int8 where they stand between its quantizers
    * `float_nodes`: those that compute in float, with the reason
    * `tensors`: every quantizer; `plans`: of a float model, by target
    """

    model: str
    quantized: bool
    made_by: str | None
    method: str | None
    target: str | None
    task: str | None
    postprocessing: str | None
    suppression: Suppression | None
    runtime: str
    operators: dict[str, int]
    executed: tuple[Executed, ...]
    declared: tuple[Executed, ...]
    float_nodes: tuple[FloatNode, ...]
    tensors: tuple[TensorRow, ...]
    plans: tuple[Planned, ...]
    notes: tuple[str, ...] = ()

    @property
    def nodes_int8(self) -> int:
        return sum(node.int8 for node in self.executed or self.declared)


def inspect(
    model: Model,
    *,
    runtime: str | None = None,
    target: str | None = None,
    recipe: RecipeSource = "default",
) -> Inspection:
    """Inspects a model; a float one is planned for the target, or for all.

    The model is left as it is.

    Raises ModelError for a file that cannot be read or that the runtime cannot load, RecipeError, TargetError.
    """
    source = GivenModel.of(model)
    facts = source.model.metadata_props
    info = task_of(facts)
    quantized = is_quantized(source.model)
    used = runtime_for(source.model, runtime)
    notes: list[str] = []
    executed: tuple[Executed, ...] = ()
    if quantized and used.available():
        executed = tuple(used.executed(source.runnable))
    elif quantized:
        notes.append(
            f"{used.name} does not run here: what is shown is what the file declares; or try --runtime"
        )
        notes += map(str, violations(source.model, used.name))
    declared = _declared(source) if quantized and not executed else ()
    saturated = saturation(source.model, used.name)
    if saturated is not None:
        notes.append(saturated)
    operators: dict[str, int] = {}
    for node in source.model.graph:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    return Inspection(
        model=source.name,
        quantized=quantized,
        made_by=facts.get(VERSION),
        method=facts.get(METHOD),
        target=facts.get(TARGET),
        task=None if info is None else info.task,
        postprocessing=postprocessing_of(facts),
        suppression=suppression_of(facts),
        runtime=used.name,
        operators=dict(sorted(operators.items(), key=lambda item: -item[1])),
        executed=executed,
        declared=declared,
        float_nodes=_float_nodes(source, executed, declared, used.name) if quantized else (),
        tensors=tensor_rows(source.model) if quantized else (),
        plans=() if quantized else _plans(source, target, recipe),
        notes=tuple(notes),
    )


def _float_nodes(
    source: GivenModel, executed: tuple[Executed, ...], declared: tuple[Executed, ...], runtime: str
) -> tuple[FloatNode, ...]:
    """Rows outside int8, with the file's reasons for their source nodes."""
    reasons, unknown = _reasons(source), f"{runtime} runs it in float; the file does not say why"
    if not executed:
        unknown = "what it reads is not all dequantized"
        kinds = {node.name: node.op_type for node in source.model.graph}
        if reasons:
            return tuple(FloatNode(name=n, op=kinds.get(n, ""), reason=why) for n, why in reasons.items())
    return tuple(
        FloatNode(
            name=row.name,
            op=row.op,
            reason=next((reasons[name] for name in (row.name, *row.sources) if name in reasons), unknown),
        )
        for row in executed or declared
        if not row.int8 and row.op not in CONVERSIONS
    )


def _declared(source: GivenModel) -> tuple[Executed, ...]:
    """Executed nodes of a Q/DQ graph, by its quantizers.

    A file that names its float nodes is taken at its word.

    A clamp goes with the operator before it.
    """
    left = _reasons(source)
    rows: dict[str, Executed] = {}
    for node in source.model.graph:
        name = name_of(node)
        before = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
        if kind_of(node) is Kind.CLAMP and before is not None and before.name in rows:
            row = rows[before.name]
            if row.int8:
                rows[before.name] = replace(row, sources=(*row.sources, name))
                continue
        int8 = declares_int8(node) and name not in left
        rows[name] = Executed(name=name, op=node.op_type, int8=int8, detail="declared", sources=(name,))
    return tuple(rows.values())


def _reasons(source: GivenModel) -> dict[str, str]:
    try:
        found = json.loads(source.model.metadata_props.get(FLOAT_NODES, "{}"))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _share(cost: Mapping[str, int], nodes: Iterable[str]) -> float:
    return sum(cost.get(node, 0) for node in nodes) / max(sum(cost.values()), 1)


def _plans(source: GivenModel, target: str | None, recipe: RecipeSource) -> tuple[Planned, ...]:
    chosen, _ = resolve_recipe(recipe)
    prepared = prepare(source.model)
    cost, counted = macs(prepared), not uncounted(prepared)
    kinds = {name_of(node): node.op_type for node in prepared.graph}
    clamps = {node.name for node in prepared.graph if kind_of(node) is Kind.CLAMP}
    found = []
    for goal in [get_target(target)] if target else TARGETS.values():
        try:
            planned = plan(prepared, goal, chosen)
        except ModelError as error:
            found.append(
                Planned(target=goal.name, macs_int8=0.0, nodes_int8=0, float_nodes=(), problem=str(error))
            )
            continue
        found.append(
            Planned(
                target=goal.name,
                macs_int8=_share(cost, planned.int8_nodes) if counted else None,
                nodes_int8=len(set(planned.int8_nodes) - clamps),  # they go with the operator before them
                float_nodes=tuple(
                    FloatNode(name=n, op=kinds[n], reason=reason) for n, reason in planned.float_nodes.items()
                ),
            )
        )
    return tuple(found)
