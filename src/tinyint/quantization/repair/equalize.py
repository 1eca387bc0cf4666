"""Cross-layer equalization, applied to a graph; how the factors are found is in `repair.factors`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.graph.ops import layout_of
from tinyint.graph.walk import constant_of
from tinyint.quantization.calibration import Decision
from tinyint.quantization.repair.channels import ChannelGraph
from tinyint.quantization.repair.factors import FREE, Floats, equalizing_factors
from tinyint.quantization.repair.step import FloatStep
from tinyint.quantization.repair.trace import trace

__all__ = ["STEP", "equalize_graph"]


class Equalize(FloatStep):
    """From the weights alone."""

    name = "equalize"

    def apply(self, model: ir.Model, decision: Decision) -> tuple[ir.Model, str]:  # noqa: ARG002
        return equalize_graph(model)


STEP = Equalize()


def equalize_graph(prepared: ir.Model) -> tuple[ir.Model, str]:
    """Copy of a float graph with equalized weights and the same function.

    The graph is prepared, and the function the same bit for bit; with a note of the changes.

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
