"""Static method: prepared graph and calibration record → plan, parameters, int8 graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.coarse_biases import coarse_biases
from tinyint.quantization.plan import Plan, plan
from tinyint.quantization.qdq import insert
from tinyint.quantization.qparams import Assignment, assign_qparams
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.repair import Quantization, repair_parameters
from tinyint.quantization.trial import TRIAL_SAMPLES, Trial, tried
from tinyint.runtimes import Feeds
from tinyint.targets import Target

__all__ = ["Static", "quantize_static"]


@dataclass(frozen=True, kw_only=True)
class Static:
    """Decisions, notes of parameter steps, and the int8 graph."""

    state: Quantization
    notes: tuple[str, ...]
    model: ir.Model

    @property
    def plan(self) -> Plan:
        return self.state.plan


def quantize_static(
    prepared: ir.Model, target: Target, recipe: Recipe, record: CalibrationRecord, samples: Sequence[Feeds]
) -> Static:
    """plan → ranges and qparams → steps → write Q/DQ.

    Again without the nodes whose biases int8 rounds grossly, or that the runtime does not take (`trial`).

    `samples`: what steps run, and the first of which it is tried on; without, it only has to load. Raises as `plan`.
    """

    def built(rejected: Mapping[str, str]) -> Static:
        planned, assignment = _planned(prepared, target, recipe, record, rejected)
        state = Quantization(
            graph=prepared, plan=planned, record=record, assignment=assignment, samples=samples
        )
        state, notes = repair_parameters(state, recipe)
        return Static(state=state, notes=notes, model=insert(state.graph, state.plan, state.assignment))

    with Trial(prepared=prepared, target=target, feeds=samples[:TRIAL_SAMPLES]) as trial:
        return tried(trial, built)


def _planned(
    prepared: ir.Model, target: Target, recipe: Recipe, record: CalibrationRecord, rejected: Mapping[str, str]
) -> tuple[Plan, Assignment]:
    held = dict(rejected)
    while True:  # scales change with what is held; each turn holds more
        planned = plan(prepared, target, recipe, record, rejected=held)
        assignment = assign_qparams(prepared, planned, record, recipe.range_method)
        coarse = coarse_biases(prepared, planned, record, assignment)
        if not coarse:
            return planned, assignment
        held.update(coarse)
