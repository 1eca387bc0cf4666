"""Main path: a float model and samples → an int8 model for one target.

`prepare_float` and `repair_float` make the graph that `quantize` hands to one of three methods. Each is a few steps,
named in order; what they do stands in the modules that they are imported from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import op_names
from tinyint.graph.passes.unused import drop_unused_constants
from tinyint.graph.prepare import prepare_float
from tinyint.graph.walk import inner_nodes
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.dynamic import quantize_dynamic
from tinyint.quantization.plan import ConstantPlan, Plan, Use, plan
from tinyint.quantization.plan.points import misread_points
from tinyint.quantization.recipe import Recipe, match_rules
from tinyint.quantization.repair import repair_float
from tinyint.quantization.signature import sign
from tinyint.quantization.static import quantize_static
from tinyint.quantization.weight_only import quantize_weights, require_integers
from tinyint.runtimes import Feeds
from tinyint.targets import Target

__all__ = ["Quantized", "Stopwatch", "prepare_float", "quantize", "repair_float"]


class Stopwatch:
    """Seconds per step, in order, without those of inner steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._timed = 0.0

    @contextmanager
    def time(self, step: str) -> Iterator[None]:
        start, timed = time.perf_counter(), self._timed
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[step] = self.seconds.get(step, 0.0) + spent - (self._timed - timed)
            self._timed = timed + spent


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """Int8 model, and the decisions on the way.

    * `model`: the quantized graph, with its recipe and target in the metadata
    * `prepared`: the float graph that was planned on; node names agree with `float_nodes`
    * `plan`: of the static method
    * `constants`: the weights that are stored as integers, by the place that reads them
    * `planned_int8`: the nodes that shall run in int8
    * `float_nodes`: each other node, with the reason
    * `notes`: what the steps on parameters did
    """

    model: ir.Model
    prepared: ir.Model
    target: Target
    recipe: Recipe
    plan: Plan | None = None
    record: CalibrationRecord | None = None
    constants: Mapping[Use, ConstantPlan]
    planned_int8: tuple[str, ...]
    float_nodes: Mapping[str, str]
    notes: tuple[str, ...] = ()
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


def quantize(
    prepared: ir.Model,
    *,
    target: Target,
    recipe: Recipe,
    record: Callable[[], CalibrationRecord],
    samples: Callable[[], Sequence[Feeds]] = tuple,
    stopwatch: Stopwatch | None = None,
) -> Quantized:
    """Quantizes a prepared model by the recipe's method.

    `record` is called if that needs a calibration record.

    `samples` is called for what the static model is tried on, on its runtime (see `trial`).

    What the recipe's `steps` ask for before ranges are known has been done by `repair_float`.

    Where the target has no operator that quantizes at run time, the dynamic method is weight-only.
    """
    watch = stopwatch or Stopwatch()
    match recipe.method:
        case "static":
            result = _static(prepared, target, recipe, record, samples, watch)
        case "dynamic" if target.dynamic:
            result = _dynamic(prepared, target, recipe, watch)
        case _:
            result = _weight_only(prepared, target, recipe, watch)
    drop_unused_constants(result.model)
    sign(
        result.model,
        method="weight_only" if recipe.method == "dynamic" and not result.planned_int8 else recipe.method,
        target=target,
        recipe=recipe,
        float_nodes=result.float_nodes,
        record=result.record,
    )
    return result


def _static(
    prepared: ir.Model,
    target: Target,
    recipe: Recipe,
    record: Callable[[], CalibrationRecord],
    samples: Callable[[], Sequence[Feeds]],
    watch: Stopwatch,
) -> Quantized:
    """calibrate → plan → ranges and qparams → steps → write Q/DQ → trial."""
    with watch.time("quantize"):
        plan(prepared, target, recipe)  # before anything takes long: whether there is something to quantize
    with watch.time("calibrate"):
        calibration = record()
    with watch.time("quantize"):
        static = quantize_static(prepared, target, recipe, calibration, samples())
    state = static.state
    return Quantized(
        model=static.model,
        prepared=state.graph,
        target=target,
        recipe=recipe,
        plan=state.plan,
        record=calibration,
        constants=state.plan.constants,
        planned_int8=state.plan.int8_nodes,
        float_nodes=state.plan.float_nodes,
        notes=static.notes,
        stopwatch=watch,
    )


def _dynamic(prepared: ir.Model, target: Target, recipe: Recipe, watch: Stopwatch) -> Quantized:
    """integer products with weights → the other weights as integers"""
    with watch.time("quantize"):
        rules = match_rules(recipe, [(name_of(node), op_names(node)) for node in prepared.graph.all_nodes()])
        model, products, reasons = quantize_dynamic(prepared, target, recipe, rules)
        misread = misread_points(model, target)
        model, others = quantize_weights(model, recipe, rules, misread)
        require_integers(prepared, {**products, **others}, rules, misread)
    return Quantized(
        model=model,
        prepared=prepared,
        target=target,
        recipe=recipe,
        constants={**products, **others},
        planned_int8=tuple(name for name, _ in products),
        float_nodes=reasons,
        stopwatch=watch,
    )


def _weight_only(prepared: ir.Model, target: Target, recipe: Recipe, watch: Stopwatch) -> Quantized:
    """weights as integers, restored to float before they are used"""
    with watch.time("quantize"):
        rules = match_rules(recipe, [(name_of(node), op_names(node)) for node in prepared.graph.all_nodes()])
        misread = misread_points(prepared, target)
        model, constants = quantize_weights(prepared, recipe, rules, misread)
        require_integers(prepared, constants, rules, misread)
    why = f"its weights are stored in integers (weight-only); {target.stored_weights}"
    stored = {name for name, _ in constants}
    stored |= {name_of(n) for n in prepared.graph if any(inner.name in stored for inner in inner_nodes(n))}
    return Quantized(
        model=model,
        prepared=prepared,
        target=target,
        recipe=recipe,
        constants=constants,
        planned_int8=(),
        float_nodes={
            name_of(n): misread.get(name_of(n), why if n.name in stored else "it has no weights")
            for n in prepared.graph
        },
        stopwatch=watch,
    )
