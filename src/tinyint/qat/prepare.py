"""Float model + data → trainable torch module with fake quantization."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
import torch

from tinyint.data import Data, Samples
from tinyint.data.declared import DeclarationSource
from tinyint.errors import RecipeError
from tinyint.graph.flow import clamp_range
from tinyint.graph.names import name_of
from tinyint.graph.prepare import prepare as prepare_graph
from tinyint.graph.prepare import prepare_float
from tinyint.graph.walk import constant_of
from tinyint.loading import load
from tinyint.numbers.numerics import FloatArray, QParams, qparams_from_range
from tinyint.numbers.scheme import Scheme
from tinyint.qat.batch_norm.unfolding import Norm, find_norms
from tinyint.qat.pixels import pixel_input, require_foldable, with_pixels
from tinyint.qat.qat_module import Origin, QatModule
from tinyint.qat.quantizers.activations import (
    ActivationQuantizer,
    ClippingQuantizer,
    LearnedQuantizer,
    ObservedQuantizer,
)
from tinyint.qat.quantizers.freezing import OscillationFreezer
from tinyint.qat.quantizers.pair_limit import PairLimiter
from tinyint.qat.quantizers.tracking import RangeTracker
from tinyint.qat.quantizers.weights import WeightQuantizer
from tinyint.qat.settings import QatSettings
from tinyint.quantization.calibrated import Calibration, calibrated
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.plan import ConstantPlan, Plan, Role, TensorPlan, Use, plan
from tinyint.quantization.qparams import Assignment
from tinyint.quantization.ranges import weight_range
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe_source import RecipeSource, resolve_training
from tinyint.quantization.static import quantize_static
from tinyint.quantization.weight_pairs import LimitedWeight
from tinyint.runtimes.run import Run
from tinyint.targets import Target, get_target
from tinyint.torch_graph.program import compile_graph

__all__ = ["prepare"]


def prepare(
    model: Any,
    data_or_record: CalibrationRecord | Data,
    *,
    recipe: RecipeSource = "default",
    target: str | Target | None = None,
    settings: QatSettings | None = None,
    preprocessing: DeclarationSource | None = None,
    run: Run | None = None,
) -> QatModule:
    """Model with fake quantization as int8 on `target`.

    Without one, on this machine.

    `model`: an ONNX file or graph, a Paddle directory, or what `tinyint.load` makes of an `nn.Module`.
    `data_or_record`: what the ranges start from, as for `quantize`: data, a calibration record, or the
    `.calibration.npz` file of one. `recipe`: what `quantize` takes; a PaddleSlim config also says how ranges are
    trained, where `settings` do not. Batch norms are folded into the operators before them, or trained, as `settings`
    say. Under `fold_preprocessing`, what is trained and exported takes pixels: `preprocessing` is then what is folded
    in, by default that of the data or the model. `run.notice` is told what the user should know.

    Raises:
        ModelError: the model is quantized already, has operators that cannot be trained, nothing for int8, or no batch
            norm although they shall be trained
        RecipeError, TargetError, RecordError, DataError: as `quantize`
    """
    run = run or Run()
    run.require_only("prepare", "threads", "batch_size", "provider")
    recipe, settings = _resolved(recipe, settings or QatSettings(), run)
    target = target if isinstance(target, Target) else get_target(target)
    name = str(model) if isinstance(model, str | Path) else "the model"
    source = load(model)
    prepared, fingerprint = prepare_float(source, name)
    wanted = settings.batch_norm == "trained"
    trained, norms = _with_norms(source, prepared, recipe, name) if wanted else (None, ())
    compile_graph(prepared.graph)  # before anything takes long: whether all of it can be trained
    plan(prepared, target, recipe)  # likewise, whether there is something to quantize
    calibration = _calibration(source, data_or_record, recipe, run)
    pixels = pixel_input(source, recipe, preprocessing, data_or_record, calibration)
    require_foldable(pixels, prepared, target)
    graph, record = calibrated(prepared, fingerprint, recipe, calibration)
    for notice in (*graph.undone, *calibration.notices):
        run.notice(notice)
    floats, record, samples = with_pixels(pixels, graph.model, target, record, calibration.samples(recipe))
    state = quantize_static(floats, target, recipe, record, samples).state
    origin = Origin(
        prepared=state.graph,
        trained=trained or state.graph,
        teacher=state.graph if pixels is None else graph.model,
        norms=norms,
        fingerprint=graph.fingerprint,
        plan=state.plan,
        record=record,
        target=target,
        recipe=recipe,
        settings=settings,
        pixels=pixels,
    )
    return _module(origin, state.assignment)


def _module(origin: Origin, assignment: Assignment) -> QatModule:
    graph, settings = origin.prepared.graph, origin.settings
    activations, tracker = _activations(graph, origin.plan, assignment, settings)
    return QatModule(origin, activations, _weights(graph, origin.plan, assignment, settings), tracker)


def _with_norms(
    source: ir.Model, prepared: ir.Model, recipe: Recipe, name: str
) -> tuple[ir.Model, tuple[Norm, ...]]:
    """Graph with its batch norms, and their places in the one that they are folded into."""
    if recipe.steps:
        raise RecipeError(
            f"training: `steps: [{', '.join(recipe.steps)}]` works on weights that batch norms are folded into, so "
            'it does not go with batch_norm="trained"; leave one of them out'
        )
    trained = prepare_graph(source, keep_batch_norms=True)
    return trained, find_norms(trained, prepared, name)


def _resolved(given: RecipeSource, settings: QatSettings, run: Run) -> tuple[Recipe, QatSettings]:
    recipe, said, notes = resolve_training(given)
    for note in notes:
        run.notice(note)
    if recipe.method != "static":
        raise RecipeError(
            f"recipe {recipe.name}: training is for `method: static`, not {recipe.method}, whose models need no "
            "training: use `quantize`, or set method=static"
        )
    settings = settings.over(said)
    if recipe.fold_preprocessing == "resize":
        raise RecipeError(
            f"recipe {recipe.name}: `fold_preprocessing: resize` is for `quantize`; a module in training takes images "
            "that are resized already: set it to true"
        )
    if recipe.fold_preprocessing and settings.batch_norm == "trained":
        raise RecipeError(
            f"recipe {recipe.name}: `fold_preprocessing` changes the weights that batch norms are folded into, so it "
            'does not go with batch_norm="trained"; leave one of them out'
        )
    return recipe, settings


def _calibration(model: ir.Model, given: CalibrationRecord | Data, recipe: Recipe, run: Run) -> Calibration:
    if isinstance(given, str | Path) and str(given).endswith(".calibration.npz"):
        given = CalibrationRecord.load(given)
    if isinstance(given, CalibrationRecord):
        return Calibration(record=given, run=run)
    return Calibration.of(Samples.of(given), model, recipe, run=run)


def _activations(
    graph: ir.Graph, planned: Plan, assignment: Assignment, settings: QatSettings
) -> tuple[dict[str, ActivationQuantizer], RangeTracker]:
    """One quantizer per scale group, and the tracker of observed ones."""
    members: dict[tuple[str, Scheme], list[str]] = {}
    for name, tensor in planned.tensors.items():
        members.setdefault((tensor.group, tensor.scheme), []).append(name)
    cuts = {node.outputs[0].name: clamp_range(node) for node in graph if node.name in planned.absorbed}
    quantizers: dict[str, ActivationQuantizer] = {}
    observed: list[ObservedQuantizer] = []
    floors: list[tuple[float, float]] = []
    for (_, scheme), names in members.items():
        cut = next((cuts[name] for name in names if name in cuts), None)
        tensors = [planned.tensors[name] for name in names]
        quantizer = _quantizer(scheme, tensors, assignment.tensors[names[0]], cut, settings)
        if isinstance(quantizer, ObservedQuantizer):
            observed.append(quantizer)
            floors.append(_floor(tensors))
        quantizers.update(dict.fromkeys(names, quantizer))
    return quantizers, RangeTracker(observed, floors, settings)


def _quantizer(
    scheme: Scheme,
    tensors: list[TensorPlan],
    params: QParams,
    cut: tuple[float, float] | None,
    settings: QatSettings,
) -> ActivationQuantizer:
    if all(tensor.fixed_range or tensor.stretch for tensor in tensors):
        return ActivationQuantizer(scheme, params)
    match settings.activations:
        case "lsq" | "lsq+":
            return LearnedQuantizer(scheme, params, with_offset=settings.activations == "lsq+")
        case "pact":
            return ClippingQuantizer(scheme, params)
    return ObservedQuantizer(scheme, params, cut or _live_range(tensors))


def _live_range(tensors: list[TensorPlan]) -> tuple[float, float] | None:
    """What holds the live ranges of all tensors; None if one of them has none."""
    ranges = [tensor.live_range for tensor in tensors if tensor.live_range is not None]
    if len(ranges) < len(tensors):
        return None
    return min(lo for lo, _ in ranges), max(hi for _, hi in ranges)


def _floor(tensors: list[TensorPlan]) -> tuple[float, float]:
    fixed = [tensor.fixed_range for tensor in tensors if tensor.fixed_range is not None]
    fixed += [(0.0, tensor.stretch.least) for tensor in tensors if tensor.stretch is not None]
    return min([0.0, *(lo for lo, _ in fixed)]), max([0.0, *(hi for _, hi in fixed)])


def _weights(
    graph: ir.Graph, planned: Plan, assignment: Assignment, settings: QatSettings
) -> dict[Use, WeightQuantizer]:
    nodes = {name_of(node): node for node in graph}
    quantizers: dict[Use, WeightQuantizer] = {}
    for use, constant in planned.constants.items():
        params = assignment.constants[use].params
        constant_value = constant_of(nodes[use[0]].inputs[use[1]])
        assert constant_value is not None
        array = constant_value.astype(np.float32)
        limited = _limited(nodes[use[0]], array, constant)
        share = _share(array, constant.scheme, constant.range, limited)
        learned = settings.weights == "lsq" and constant.scheme.symmetric and constant.scheme.qtype.signed
        quantizer = WeightQuantizer(constant.scheme, params, share, learned=learned)
        quantizer.limiter = None if limited is None else PairLimiter(limited)
        if settings.freeze_oscillating is not None and constant.role is Role.WEIGHT:
            quantizer.freezer = OscillationFreezer(torch.tensor(array), settings.freeze_oscillating)
        quantizers[use] = quantizer
    return quantizers


def _limited(node: ir.Node, weight: FloatArray, plan: ConstantPlan) -> LimitedWeight | None:
    """The weight under its limit on pairs, for any codes of the activations: their ranges may move in training."""
    if plan.packings is None:
        return None
    lo, hi = weight_range(weight, plan.range, plan.scheme)
    scheme = plan.scheme
    params = qparams_from_range(
        lo, hi, qtype=scheme.qtype, symmetric=scheme.symmetric, granularity=scheme.granularity
    )
    return LimitedWeight(node, weight, params, plan.packings)


def _share(
    weight: FloatArray, scheme: Scheme, method: Literal["absmax", "mse"], limited: LimitedWeight | None
) -> torch.Tensor:
    """What of the weights' largest value the range covers, () or (C,)."""
    if method == "absmax" and limited is None:
        return torch.ones((), dtype=torch.float64)
    whole, part = (
        np.maximum(-lo, hi) for lo, hi in (weight_range(weight, m, scheme) for m in ("absmax", method))
    )
    if limited is not None:
        part = limited.fitted().scale.astype(np.float64) * scheme.qtype.qmax
    return torch.tensor(np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 1.0), dtype=torch.float64)
