"""Ranges of quantized tensors beside what they hold: histograms, and channels of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.pairs import Activation, Constant
from tinyint.graph.dead_zones import live_range
from tinyint.graph.flow import range_source
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import Array, QParams
from tinyint.numbers.observers import Histogram, Summary
from tinyint.proof.layers import Bins, ChannelRanges, TensorRange, WeightRange

__all__ = ["tensor_ranges", "weight_ranges"]

_BINS, _CHANNELS = 64, 96
"""Most bins of a histogram, and entries of a weight; wide weights have several channels in each entry."""
_DIGITS = 4


def tensor_ranges(matched: Matched, summaries: Mapping[str, Summary]) -> dict[str, TensorRange]:
    """Ranges of the quantized activations by name; without a summary, of the codes alone."""
    values = {name_of(out): out for node in matched.prepared.graph for out in node.outputs}
    values |= {name_of(value): value for value in matched.prepared.graph.inputs}
    found: dict[str, TensorRange] = {}
    for activation in matched.pairs.activations:
        value = values.get(activation.name)
        if activation.name in found or activation.params.axis is not None or value is None:
            continue
        summary = summaries.get(name_of(range_source(value)))
        found[activation.name] = _tensor(activation, summary, live_range(value))
    return found


def _tensor(activation: Activation, summary: Summary | None, live: tuple[float, float] | None) -> TensorRange:
    params = activation.params
    lo, hi = (float(side) for side in params.range())
    seen, clipped, bins = None, None, None
    if summary is not None and summary.samples:
        seen = _rounded(summary.lo), _rounded(summary.hi)
        clipped, bins = _clipped(summary.histogram, params, live), _bins(summary.histogram)
    return TensorRange(
        dtype=params.qtype.storage,
        scale=_rounded(float(params.scale)),
        zero_point=int(params.zero_point),
        range=(_rounded(lo), _rounded(hi)),
        seen=seen,
        live=live,
        clipped=clipped,
        bins=bins,
    )


def _clipped(histogram: Histogram, params: QParams, live: tuple[float, float] | None) -> float | None:
    """Share in bins that lie wholly beyond the range, by more than half a step."""
    edges, counts = histogram.trimmed()
    if not counts.size:
        return None
    (lo, hi), half = params.range(), float(params.scale) / 2
    if live is not None:
        edges = np.clip(edges, *live)
    beyond = (edges[:-1] > float(hi) + half) | (edges[1:] < float(lo) - half)
    return _rounded(float(counts[beyond].sum() / counts.sum()))


def _bins(histogram: Histogram) -> Bins | None:
    """At most 64 bins, each of as many as it takes."""
    edges, counts = histogram.trimmed()
    if not counts.size:
        return None
    each = -(-counts.size // _BINS)
    padded = np.pad(counts, (0, -counts.size % each)).reshape(-1, each)
    return Bins(
        start=float(edges[0]),
        width=each * histogram.width,
        counts=tuple(int(count) for count in padded.sum(axis=1)),
    )


def weight_ranges(matched: Matched, before: ir.Model | None) -> dict[str, WeightRange]:
    """Ranges of the quantized weights by name.

    `before`: the float graph before repair steps; None where these changed nothing.
    """
    earlier = {} if before is None else {name_of(node): node for node in before.graph}
    found: dict[str, WeightRange] = {}
    for constant in matched.pairs.constants:
        if constant.kind == "weight" and constant.name not in found and constant.values.size:
            found[constant.name] = _weight(constant, earlier.get(constant.reader))
    return found


def _weight(constant: Constant, node: ir.Node | None) -> WeightRange:
    rows = _channels(constant.values, constant.axis)
    together = -(-len(rows) // _CHANNELS)
    held = np.abs(np.stack(np.atleast_1d(*constant.params.range()))).max(axis=0)
    stored = None if node is None else _same_place(constant, node)
    changed = stored is not None and not np.array_equal(stored, constant.values)
    return WeightRange(
        dtype=constant.params.qtype.storage,
        channels=len(rows),
        together=together,
        limit=_grouped(held, together, max) if held.size == len(rows) else (_rounded(float(held.max())),),
        after=_ranges(rows, together),
        before=_ranges(_channels(stored, constant.axis), together)
        if changed and stored is not None
        else None,
    )


def _same_place(constant: Constant, node: ir.Node) -> Array | None:
    """Constant of the same shape that the node read before the steps."""
    for value in node.inputs:
        stored = constant_of(value)
        if stored is not None and value is not None and value.name == constant.name:
            return stored if stored.shape == constant.values.shape else None
    return None


def _channels(values: Array, axis: int | None) -> Array:
    """(C, elements of a channel); one row without channels."""
    if axis is None or values.ndim == 0:
        return values.reshape(1, -1)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _ranges(rows: Array, together: int) -> ChannelRanges:
    return ChannelRanges(
        lo=_grouped(rows.min(axis=1), together, min), hi=_grouped(rows.max(axis=1), together, max)
    )


def _grouped(values: Array, together: int, of: Callable[[list[float]], float]) -> tuple[float, ...]:
    listed: list[float] = values.tolist()
    return tuple(_rounded(of(listed[i : i + together])) for i in range(0, len(listed), together))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
