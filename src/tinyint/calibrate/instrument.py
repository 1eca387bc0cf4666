"""The float graph with its observers inside.

Handing whole activations to NumPy costs more than the model itself: a ResNet50 makes 40 MB of them an image. So the
exact extrema are reductions in the graph, and what leaves it is a few numbers a tensor and a regular subsample.

Images (N, C, H, W) are observed by pooling alone, which ONNX Runtime does in the blocked layout of its convolutions;
anything else would have the whole tensor copied to another layout first. GlobalMaxPool gives the maximum, -max(-x) the
minimum, with -x a depthwise convolution (zero, behind a clamp), and a MaxPool of one pixel with a stride is a grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor
from tinyint.graph.flow import clamp_range, observed
from tinyint.graph.walk import static_shape
from tinyint.numerics import Array

__all__ = ["SUBSAMPLE", "Instrumented", "Observation", "instrument"]

SUBSAMPLE = 4096
"""Elements a tensor and sample that reach the histogram, give or take a factor of two."""
PEAKS, EXTREMA = "tinyint/peaks", "tinyint/extrema"


class Observation(NamedTuple):
    """What one sample made one tensor hold."""

    tensor: str
    lo: float
    hi: float
    subsample: Array
    elements: int


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Where the outputs tell of one tensor.

    * `lo`, `hi`: positions in EXTREMA, or of the first of its channels in PEAKS (`lo` negated); `lo` None: zero
    * `subsample`: the output that holds it
    * `size`: the elements in one sample, or the output that tells them, int64 ()
    """

    tensor: str
    pooled: bool
    lo: int | None
    hi: int
    subsample: str
    size: int | str


@dataclass(frozen=True, kw_only=True)
class Instrumented:
    """A model whose outputs are observations: PEAKS, float32 (N, channels, 1, 1), EXTREMA, float32 (any,), and
    subsamples."""

    model: ir.Model
    probes: tuple[Probe, ...]

    def read(self, found: Mapping[str, Array]) -> list[Observation]:
        """The outputs of one run, tensor by tensor."""
        starts = sorted({i for p in self.probes if p.pooled for i in (p.lo, p.hi) if i is not None})
        peaks: dict[int, float] = {}
        if starts:
            highest = np.maximum.reduceat(found[PEAKS].max(axis=(0, 2, 3)), starts)
            peaks = dict(zip(starts, highest.tolist(), strict=True))
        extrema = found[EXTREMA].tolist() if EXTREMA in found else []
        observations = []
        for p in self.probes:
            if p.pooled:
                lo, hi = 0.0 if p.lo is None else -peaks[p.lo], peaks[p.hi]
            else:
                lo, hi = 0.0 if p.lo is None else extrema[p.lo], extrema[p.hi]
            size = p.size if isinstance(p.size, int) else int(found[p.size])
            observations.append(Observation(p.tensor, lo, hi, found[p.subsample].ravel(), size))
        return observations


def instrument(model: ir.Model) -> Instrumented:
    """A copy of a prepared float model that observes every tensor in `graph.flow.observed`."""
    model = model.clone()
    builder = _Builder(model.graph)
    probes = tuple(_observe(builder, value) for value in observed(model.graph))
    outputs = [
        builder.outputs[name] for p in probes for name in (p.subsample, p.size) if isinstance(name, str)
    ]
    for name, parts in ((PEAKS, builder.peaks), (EXTREMA, builder.extrema)):
        if parts:
            joined = builder.node("Concat", parts, axis=1 if name == PEAKS else 0)
            joined.name = name
            outputs.append(joined)
    model.graph.outputs.clear()
    model.graph.outputs.extend(outputs)
    return Instrumented(model=model, probes=probes)


def _observe(builder: _Builder, value: ir.Value) -> Probe:
    shape = static_shape(value)
    known = shape is not None and all(dim is not None for dim in shape[1:])
    # for a batch of one where the batch is open
    size = math.prod(1 if dim is None else dim for dim in shape) if known and shape is not None else None
    producer = value.producer()
    if size and producer is not None and shape is not None and len(shape) == 4:
        return _observe_image(builder, value, producer, size, shape[1] or 1)
    return _observe_any(builder, value, size)


def _observe_image(builder: _Builder, value: ir.Value, producer: ir.Node, size: int, channels: int) -> Probe:
    stride = max(1, round(math.sqrt(size / SUBSAMPLE)))
    grid = builder.output(builder.node("MaxPool", [value], kernel_shape=[1, 1], strides=[stride, stride]))
    cut, lo = clamp_range(producer), None
    if cut is None or cut[0] < 0.0:
        lo = builder.peak(
            builder.node("Conv", [value, builder.minus_ones(channels)], group=channels), channels
        )
    hi = builder.peak(value, channels)
    return Probe(tensor=value.name or "", pooled=True, lo=lo, hi=hi, subsample=grid, size=size)


def _observe_any(builder: _Builder, value: ir.Value, known: int | None) -> Probe:
    flat = builder.node("Reshape", [value, builder.integers(-1)])
    size: int | str
    if known is not None:
        size, whole, step = known, flat, builder.integers(_stride(known))
    else:
        # A tensor of unknown size may be empty, and the reduction of nothing is an error; zero is in every range.
        whole = builder.node("Concat", [flat, builder.zero()], axis=0)
        count = builder.node("Size", [value])
        size, step = builder.output(count), _computed_stride(builder, count)
    lo = builder.extremum(builder.node("ReduceMin", [whole], keepdims=1))
    hi = builder.extremum(builder.node("ReduceMax", [whole], keepdims=1))
    ends = builder.integers(0), builder.integers(2**62)
    subsample = builder.output(builder.node("Slice", [flat, *ends, builder.integers(0), step]))
    return Probe(tensor=value.name or "", pooled=False, lo=lo, hi=hi, subsample=subsample, size=size)


def _stride(size: int) -> int:
    """The step from one sampled element to the next: coprime to the size and so to every dimension, so that the samples
    do not all fall into one channel or column."""
    stride = max(1, size // SUBSAMPLE)
    while math.gcd(stride, max(size, 1)) > 1:
        stride += 1
    return stride


def _computed_stride(builder: _Builder, size: ir.Value) -> ir.Value:
    """The same at run time, as far as integer operators go: the next odd number."""
    half = builder.node("Div", [size, builder.integers(2 * SUBSAMPLE, scalar=True)])
    even = builder.node("Mul", [half, builder.integers(2, scalar=True)])
    odd = builder.node("Add", [even, builder.integers(1, scalar=True)])
    return builder.node("Reshape", [odd, builder.integers(1)])


class _Builder:
    """Appends nodes and shared constants to a graph, and collects what is to leave it."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph, self._editor = graph, GraphEditor(graph)
        self._constants: dict[str, ir.Value] = {}
        self._count = self._channels = 0
        self.peaks: list[ir.Value] = []
        self.extrema: list[ir.Value] = []
        self.outputs: dict[str, ir.Value] = {}

    def node(self, op_type: str, inputs: list[ir.Value], **attributes: int | list[int]) -> ir.Value:
        self._count += 1
        name = f"tinyint/{op_type}_{self._count}"
        node = ir.node(op_type, inputs, attributes=attributes, name=name, num_outputs=1)
        self._editor.rename(node.outputs[0], name)
        self._graph.append(node)
        return node.outputs[0]

    def output(self, value: ir.Value) -> str:
        self.outputs[value.name or ""] = value
        return value.name or ""

    def peak(self, image: ir.Value, channels: int) -> int:
        """The position in PEAKS of the maxima of the image's channels."""
        self.peaks.append(self.node("GlobalMaxPool", [image]))
        self._channels += channels
        return self._channels - channels

    def extremum(self, value: ir.Value) -> int:
        """The position in EXTREMA of the value, of shape (1,)."""
        self.extrema.append(value)
        return len(self.extrema) - 1

    def integers(self, number: int, *, scalar: bool = False) -> ir.Value:
        return self._constant(np.int64(number) if scalar else np.array([number], np.int64))

    def zero(self) -> ir.Value:
        return self._constant(np.zeros(1, np.float32))

    def minus_ones(self, channels: int) -> ir.Value:
        return self._constant(np.full((channels, 1, 1, 1), -1, np.float32))

    def _constant(self, array: np.ndarray | np.generic) -> ir.Value:
        array = np.asarray(array)
        name = f"tinyint/{array.dtype}{array.shape}{array.flat[0]}"
        if name not in self._constants:
            self._constants[name] = self._editor.constant(name, array)
        return self._constants[name]
