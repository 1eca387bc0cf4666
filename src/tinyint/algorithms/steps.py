"""The repair steps of a recipe, each applied to a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.algorithms.channels import ChannelGraph
from tinyint.algorithms.equalize import FREE, Floats, equalizing_factors
from tinyint.algorithms.trace import trace
from tinyint.calibrate import CalibrationRecord
from tinyint.errors import RecordError
from tinyint.graph.ops import layout_of
from tinyint.graph.walk import constant_of
from tinyint.recipe import Recipe

__all__ = ["Repaired", "equalize_graph", "repair_float"]

_EQUALIZED = "equalize 1"  # raise it when the same model would come out differently


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """A prepared float graph that computes what it did, and is easier to quantize.

    * `fingerprint`: of the graph, for calibration records; `source`: of the one before the steps
    * `notes`: what each step did
    """

    model: ir.Model
    fingerprint: str
    source: str
    notes: tuple[str, ...] = ()

    def require(self, record: CalibrationRecord) -> None:
        """Raises RecordError unless the record is of this graph: the steps have changed what its tensors hold."""
        if self.fingerprint != self.source == record.model_fingerprint:
            raise RecordError(
                "the calibration record is of the model before `steps: [equalize]`, which changes the ranges of its "
                "tensors: give the data, or a record that was made with this step"
            )
        record.require_model(self.fingerprint)


def repair_float(prepared: ir.Model, fingerprint: str, recipe: Recipe) -> Repaired:
    """The steps that come before calibration. `fingerprint` is that of the model before preparation."""
    if "equalize" not in recipe.steps:
        return Repaired(model=prepared, fingerprint=fingerprint, source=fingerprint)
    model, note = equalize_graph(prepared)
    changed = hashlib.sha256(f"{fingerprint}\n{_EQUALIZED}".encode()).hexdigest()
    return Repaired(
        model=model,
        fingerprint=fingerprint if model is prepared else changed,
        source=fingerprint,
        notes=(f"equalize: {note}",),
    )


def equalize_graph(prepared: ir.Model) -> tuple[ir.Model, str]:
    """A copy of a prepared float graph with equalized weights, bit for bit the same function; and what was done.

    Where that is nothing, the graph itself.
    """
    model = prepared.clone()
    found = trace(model.graph)
    biases = np.zeros(found.count)
    for bias in found.biases:
        rows = np.moveaxis(np.abs(_array(bias.value)), bias.axis, 0).reshape(bias.channels.size, -1)
        mine = bias.channels != FREE
        np.maximum.at(biases, bias.channels[mine], rows.max(axis=1)[mine])
    factors = equalizing_factors([linear.layer() for linear in found.linears], biases)
    changed = _apply(found, factors)
    return model if changed else prepared, _told(factors, changed, found.pinned)


def _array(value: ir.Value) -> NDArray[np.float32]:
    array = constant_of(value)
    assert array is not None
    return array.astype(np.float32, copy=False)


def _apply(found: ChannelGraph, factors: Floats) -> int:
    """Writes the factors into weights and biases; the number of operators whose weights changed."""
    by_number = np.append(factors, 1.0).astype(np.float32)  # the last is that of FREE
    changed = 0
    for linear in found.linears:
        factor = by_number[linear.outputs][:, :, None] / by_number[linear.inputs][:, None, :]
        if (factor != 1).any():
            array = np.array(_array(linear.weight), order="C")
            layout_of(linear.node).matrix(array)[...] *= factor[..., None]
            linear.weight.const_value = ir.tensor(array, name=linear.weight.name)
            changed += 1
    for bias in found.biases:
        factor = by_number[bias.channels]
        if (factor != 1).any():
            array = _array(bias.value)
            shape = [1] * array.ndim
            shape[bias.axis] = -1
            bias.value.const_value = ir.tensor(array * factor.reshape(shape), name=bias.value.name)
    return changed


def _told(factors: Floats, changed: int, pinned: Mapping[str, int]) -> str:
    scaled = factors != 1
    if scaled.any():
        most = round(float(np.abs(np.log2(factors)).max()))
        told = (
            f"factors of up to 2^{most} on {scaled.sum()} of {scaled.size} channels, "
            f"in {changed} operators with weights"
        )
    elif factors.size:
        told = f"found nothing to do: none of {factors.size} channels is off by more than a factor of 2"
    else:
        told = "found nothing to do: no operators with weights follow each other, directly or through a Relu"
    clips = pinned.get("Clip", 0)
    if clips:
        told += (
            f"; {clips} tensors keep their scale before a Clip, whose bounds would have to scale with them"
        )
    return told
