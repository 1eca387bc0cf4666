"""Main path: a float model and samples → an int8 model for one target.

    prepare     the model as a float graph of plain operators
    calibrate   steps that come before ranges, and one pass over the samples (static method)
    quantize    the graph to int8, by one of three methods

Each is a few steps, named in order; what they do stands in the modules that they are imported from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import op_names
from tinyint.graph.passes.unused import drop_unused_constants
from tinyint.graph.prepare import prepare_float
from tinyint.graph.walk import inner_nodes
from tinyint.quantization.calibrated import Calibration, calibrated
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.dynamic import quantize_dynamic
from tinyint.quantization.pixels import PixelInput
from tinyint.quantization.plan import ConstantPlan, Plan, Use, plan
from tinyint.quantization.plan.points import misread_points
from tinyint.quantization.recipe import Recipe, Rule, match_rules
from tinyint.quantization.repair import repair_float
from tinyint.quantization.signature import sign
from tinyint.quantization.static import quantize_static
from tinyint.quantization.weight_only import quantize_weights, require_integers
from tinyint.runtimes import Feeds
from tinyint.targets import Target

__all__ = ["Quantized", "Source", "quantize", "quantize_graph", "source_of"]


class _Stopwatch:
    """Seconds per step, in the order of their first."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = {} if seconds is None else seconds

    @contextmanager
    def time(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """Int8 model, and the decisions on the way.

    * `model`: the quantized graph, with its recipe and target in the metadata
    * `prepared`: the float graph that was planned on; node names agree with `float_nodes`
    * `plan`: of the static method
    * `constants`: the weights that are stored as integers, by the place that reads them
    * `planned_int8`: the nodes that shall run in int8
    * `float_nodes`: each other node, with the reason
    * `before`: the float graph before the repair steps; None where these left it as it was
    * `notes`: what the repair steps did
    * `seconds`: by step of the main path
    * `fingerprint`: of the float model, as the user has it
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
    before: ir.Model | None = None
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Calibrated float graph, from which quantizations start.

    * `graph`: what is quantized; `fingerprint`: of the model, prepared; `recipe`: that it was prepared for
    * `known`: record of this graph; `record`: of the graph before `pixels` were folded in, which is the one to keep
    * `before`: as of `Quantized`
    * `samples`: what steps run, and a quantization is tried on, on its runtime
    """

    graph: ir.Model
    before: ir.Model | None = None
    fingerprint: str
    target: Target
    recipe: Recipe
    known: CalibrationRecord | None
    record: CalibrationRecord | None
    samples: Sequence[Feeds]
    pixels: PixelInput | None
    notes: tuple[str, ...]
    seconds: Mapping[str, float]

    def quantized(self, rules: Sequence[Rule] = ()) -> Quantized:
        """Quantization by the recipe, with `rules` before its own.

        Raises as `plan` and the recipe's method.
        """
        recipe = self.recipe.with_rules(rules)
        watch = _Stopwatch(seconds=dict(self.seconds))
        with watch.time("quantize"):
            result = quantize_graph(
                self.graph, target=self.target, recipe=recipe, record=self.known, samples=self.samples
            )
        notes = (*self.notes, *result.notes)
        return replace(
            result,
            record=self.record,
            before=self.before,
            notes=notes,
            seconds=watch.seconds,
            fingerprint=self.fingerprint,
        )


def quantize(
    model: ir.Model,
    *,
    target: Target,
    recipe: Recipe,
    calibration: Calibration,
    pixels: PixelInput | None = None,
    name: str = "the model",
) -> Quantized:
    """Quantizes a float model as the user has it.

    Arguments and errors are those of `source_of` and `Source.quantized`.
    """
    return source_of(
        model, target=target, recipe=recipe, calibration=calibration, pixels=pixels, name=name
    ).quantized()


def source_of(
    model: ir.Model,
    *,
    target: Target,
    recipe: Recipe,
    calibration: Calibration,
    pixels: PixelInput | None = None,
    name: str = "the model",
) -> Source:
    """Prepares and calibrates a float model; `name` is for messages.

    It is calibrated as it is, and with `pixels`, quantized with its preprocessing. Raises as `prepare_float`, `plan`,
    `calibrated` and `PixelInput.fold`.
    """
    watch = _Stopwatch()
    with watch.time("prepare"):
        prepared, fingerprint = prepare_float(model, name)
        if pixels is not None:
            pixels.fold(prepared, target)  # before anything takes long: whether it can be
    if recipe.method == "static":
        with watch.time("quantize"):
            plan(
                prepared, target, recipe
            )  # before anything takes long: whether there is something to quantize
        with watch.time("calibrate"):
            graph, record = calibrated(prepared, fingerprint, recipe, calibration)
    else:
        with watch.time("prepare"):
            graph, record = repair_float(prepared, fingerprint, recipe), None
    with watch.time("quantize"):
        source, known, samples = graph.model, record, calibration.samples(recipe)
        if pixels is not None:
            folded = pixels.fold(source, target)
            source, known = folded.model, record and folded.known(record)
            samples = [pixels.feeds(feeds) for feeds in samples]
    return Source(
        graph=source,
        before=None if graph.model is prepared else prepared,
        fingerprint=fingerprint,
        target=target,
        recipe=recipe,
        known=known,
        record=record,
        samples=samples,
        pixels=pixels,
        notes=graph.notes,
        seconds=watch.seconds,
    )


def quantize_graph(
    prepared: ir.Model,
    *,
    target: Target,
    recipe: Recipe,
    record: CalibrationRecord | None = None,
    samples: Sequence[Feeds] = (),
) -> Quantized:
    """Quantizes a float graph by the recipe's method.

    `record`: of this graph, for the static method; `samples`: what its steps
    run, and the first of which its model is tried on, on its runtime (see `trial`).

    Where the target has no operator that quantizes at run time, the dynamic method is weight-only.
    """
    match recipe.method:
        case "static":
            assert record is not None
            result = _static(prepared, target, recipe, record, samples)
        case "dynamic" if target.dynamic:
            result = _dynamic(prepared, target, recipe)
        case _:
            result = _weight_only(prepared, target, recipe)
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
    record: CalibrationRecord,
    samples: Sequence[Feeds],
) -> Quantized:
    """plan → ranges and qparams → steps → write Q/DQ → trial"""
    static = quantize_static(prepared, target, recipe, record, samples)
    state = static.state
    return Quantized(
        model=static.model,
        prepared=state.graph,
        target=target,
        recipe=recipe,
        plan=state.plan,
        record=record,
        constants=state.plan.constants,
        planned_int8=state.plan.int8_nodes,
        float_nodes=state.plan.float_nodes,
        notes=static.notes,
    )


def _dynamic(prepared: ir.Model, target: Target, recipe: Recipe) -> Quantized:
    """integer products with weights → the other weights as integers"""
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
    )


def _weight_only(prepared: ir.Model, target: Target, recipe: Recipe) -> Quantized:
    """weights as integers, restored to float before they are used"""
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
    )
