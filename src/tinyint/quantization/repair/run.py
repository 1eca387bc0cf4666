"""Repair steps of a recipe, each in its place.

On the float graph, or on the parameters of a quantization.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TypeAlias

import onnx_ir as ir

from tinyint.errors import RecipeError, RecordError
from tinyint.quantization.calibration import CalibrationRecord, Decision
from tinyint.quantization.calibration.statistics import Request
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe.steps import STEPS
from tinyint.quantization.repair.step import FloatStep, ParameterStep, Quantization

__all__ = ["Observe", "Repaired", "repair_float", "repair_parameters", "samples_to_run"]

_TOLERANCE = 1e-3
"""Of a tensor's range: how far its extrema may move where a step leaves it as it was."""


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """Prepared float graph with the same function, easier to quantize.

    * `fingerprint`: of the graph, for calibration records; `source`: of the one before the steps
    * `steps`: that were asked for, by name; `notes`: what each did; `undone`: the notes of those that were taken back,
      since they would have changed the function
    * `needs`: what calibration must observe, for these steps or those after
    * `decisions`: what the samples said, by step
    * `record`: of this very graph, where a step had to calibrate
    """

    model: ir.Model
    fingerprint: str
    source: str
    steps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    needs: frozenset[Request] = frozenset()
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    record: CalibrationRecord | None = None

    def require(self, record: CalibrationRecord) -> None:
        """Raises RecordError unless the record is of this graph.

        The steps have changed its tensors.
        """
        reading = [step for step in _steps(self.steps) if isinstance(step, FloatStep) and step.reads_data]
        lacking = [step for step in reading if step.name not in record.decisions]
        if (self.fingerprint != self.source or lacking) and self.source == record.model_fingerprint:
            steps, these = ", ".join(self.steps), "this step" if len(self.steps) == 1 else "these steps"
            raise RecordError(
                f"the calibration record is of the model before `steps: [{steps}]`, which changes the ranges of its "
                f"tensors: give the data, or a record that was made with {these}"
            )
        record.require_model(self.fingerprint)

    def observed(self, observe: Observe) -> CalibrationRecord:
        """Record with the needed statistics: the given one, or of a new calibration."""
        if self.record is not None and self.needs <= self.record.statistics.keys():
            return self.record
        record = observe(self)
        record.decisions = dict(self.decisions)
        return record


Observe: TypeAlias = Callable[[Repaired], CalibrationRecord]
"""Calibrates the graph, with its needs."""


def repair_float(
    prepared: ir.Model,
    fingerprint: str,
    recipe: Recipe,
    *,
    observe: Observe | None = None,
    decisions: Mapping[str, Decision] | None = None,
) -> Repaired:
    """Runs the steps that come before ranges.

    `fingerprint` is that of the model before preparation.

    Steps that read the data calibrate with `observe`, unless `decisions` tell what they decided before. Raises
    RecipeError for a step that does not go with the recipe's method.
    """
    steps = _float_steps(recipe)
    _require_method(recipe)
    state = Repaired(
        model=prepared, fingerprint=fingerprint, source=fingerprint, steps=tuple(step.name for step in steps)
    )
    later = [step.needs for step in _parameter_steps(recipe)]
    for step in steps:
        if not step.reads_data or observe is None or decisions is not None:
            state = _carried_out(step, state, (decisions or {}).get(step.name, {}))
        else:
            state = _decided(step, _needing(state, *later), observe)
    if state.record is not None:
        state.record.decisions = dict(state.decisions)
    return _needing(state, *later)


def _needing(state: Repaired, *needs: Callable[[ir.Model], frozenset[Request]]) -> Repaired:
    return replace(state, needs=frozenset().union(*(need(state.model) for need in needs)))


def _carried_out(step: FloatStep, state: Repaired, decision: Decision) -> Repaired:
    model, note = step.apply(state.model, decision)
    state = _with_decision(step, state, decision)
    state = replace(state, notes=(*state.notes, f"{step.name}: {note}"))
    if model is state.model:
        return state
    told = f"{step.name} {step.version}"
    if decision:
        told += "\n" + json.dumps(decision, sort_keys=True)
    changed = hashlib.sha256(f"{state.fingerprint}\n{told}".encode()).hexdigest()
    return replace(state, model=model, fingerprint=changed, record=None)


def _with_decision(step: FloatStep, state: Repaired, decision: Decision) -> Repaired:
    """Nothing to do is a decision, too."""
    return replace(state, decisions={**state.decisions, step.name: decision}) if step.reads_data else state


def _decided(step: FloatStep, state: Repaired, observe: Observe) -> Repaired:
    """Carries out what the samples say, unless they then make another tensor hold something else."""
    before = replace(state, needs=state.needs | step.needs(state.model)).observed(observe)
    state, decision = replace(state, record=before), step.decide(state.model, before)
    changed = _carried_out(step, state, decision)
    if changed.model is state.model:
        return changed
    after = changed.observed(observe)
    fault = _difference(before, after, apart=step.moved(state.model, decision))
    if fault is None:
        return replace(changed, record=after)
    note = f"{step.name}: undone, since {fault}"
    state = _with_decision(step, state, {})
    return replace(state, notes=(*state.notes, note), undone=(*state.undone, note))


def _difference(before: CalibrationRecord, after: CalibrationRecord, apart: frozenset[str]) -> str | None:
    """First tensor that changed but should not, on the same samples."""
    for name, summary in before.summaries.items():
        other = after.summaries.get(name)
        if name in apart or other is None:
            continue
        allowed = _TOLERANCE * max(summary.hi - summary.lo, 1e-30)
        ends = zip((summary.lo, summary.hi), (other.lo, other.hi), strict=True)
        if any(abs(end - new) > allowed for end, new in ends):
            return (
                f"tensor {name!r} would range over [{other.lo:.6g}, {other.hi:.6g}] instead of "
                f"[{summary.lo:.6g}, {summary.hi:.6g}] on the calibration samples"
            )
    return None


def repair_parameters(state: Quantization, recipe: Recipe) -> tuple[Quantization, tuple[str, ...]]:
    """Runs the steps that come after ranges, with a note for each."""
    notes = []
    for step in _parameter_steps(recipe):
        state, note = step.apply(state)
        notes.append(f"{step.name}: {note}")
    return state, tuple(notes)


def samples_to_run(recipe: Recipe) -> int:
    """Most samples that one of the recipe's steps runs after the ranges."""
    return max((step.samples for step in _parameter_steps(recipe)), default=0)


def _float_steps(recipe: Recipe) -> list[FloatStep]:
    return [step for step in _steps(recipe.steps) if isinstance(step, FloatStep)]


def _parameter_steps(recipe: Recipe) -> list[ParameterStep]:
    return [step for step in _steps(recipe.steps) if isinstance(step, ParameterStep)]


def _steps(names: Iterable[str]) -> list[FloatStep | ParameterStep]:
    """In the order in which they are applied."""
    return [import_module(f"tinyint.quantization.repair.{name}").STEP for name in STEPS if name in names]


def _require_method(recipe: Recipe) -> None:
    """Raises RecipeError where a step needs data or parameters that the method has none of."""
    if recipe.method == "static":
        return
    needy = [step.name for step in _parameter_steps(recipe)]
    needy += [step.name for step in _float_steps(recipe) if step.reads_data]
    if needy:
        raise RecipeError(
            f"recipe {recipe.name}: `steps: [{needy[0]}]` works by calibration, which goes with `method: static`, not "
            f"{recipe.method}; leave one of them out"
        )
