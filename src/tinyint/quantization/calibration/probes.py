"""Observers of tensors, and where the outputs tell of which.

Images (N, C, H, W) in the blocked layout of ONNX Runtime's convolutions are observed by pooling alone, which it does in
that layout; anything else would have the whole tensor copied to another one first. GlobalMaxPool gives the maximum,
-max(-x) the minimum, with -x a depthwise convolution (zero, after a clamp), and a MaxPool of one pixel with a stride is
a grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Self, TypeGuard

import onnx_ir as ir

from tinyint.graph.flow import clamp_range, observed
from tinyint.graph.names import name_of
from tinyint.graph.passes.shapes import Shape
from tinyint.quantization.calibration.blocked import blocked
from tinyint.quantization.calibration.builder import GraphBuilder

__all__ = [
    "ASSUMED", "EXTREMA", "INFINITE", "PEAKS", "SUBSAMPLE", "UNDEFINED", "Observer", "Probe", "stride_for",
]  # fmt: skip

SUBSAMPLE = 4096
"""Elements a tensor and sample that reach the histogram, give or take a factor of two."""
ASSUMED = 128
"""Size of an open dimension, but for that of samples."""
PEAKS, EXTREMA, INFINITE, UNDEFINED = (f"tinyint/{n}" for n in ("peaks", "extrema", "infinite", "undefined"))


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Where the outputs tell of one tensor.

    * `lo`, `hi`: columns in EXTREMA, or the first of its channels in PEAKS (`lo` negated); `lo` None: zero
    * `subsample`: the output that holds it
    * `size`: the output that tells its size, int64 (rows, elements in one sample); None: its shape does
    * `infinite`: the column in INFINITE and in UNDEFINED; None: not counted
    """

    tensor: str
    pooled: bool
    lo: int | None
    hi: int
    subsample: str
    size: str | None
    infinite: int | None = None

    def extrema(self, numbers: Mapping[int, float] | Sequence[float]) -> tuple[float, float]:
        """Of one sample, from its row of PEAKS or EXTREMA."""
        if self.lo is None:
            return 0.0, numbers[self.hi]
        return -numbers[self.lo] if self.pooled else numbers[self.lo], numbers[self.hi]

    def counts(self, numbers: Mapping[str, Sequence[int]]) -> tuple[int, int]:
        """The infinities and the NaNs of one sample."""
        if self.infinite is None:
            return 0, 0
        return numbers[INFINITE][self.infinite], numbers[UNDEFINED][self.infinite]


def _is_known(shape: Shape | None) -> TypeGuard[tuple[int, ...]]:
    return shape is not None and None not in shape


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Adds probes to a graph.

    * `pooled`: tensors that are observed by pooling; `images`: size of axis 0 of those that PEAKS joins
    * `infinite`: tensors that are observed without their infinities
    * `by_sample`: a row of the outputs for each row of the inputs
    """

    builder: GraphBuilder
    shapes: Mapping[str, Shape]
    infinite: AbstractSet[str]
    by_sample: bool
    pooled: AbstractSet[str]
    images: int | None

    @classmethod
    def of(
        cls, model: ir.Model, shapes: Mapping[str, Shape], infinite: AbstractSet[str], *, by_sample: bool
    ) -> Self:
        laid_out = blocked(model.graph)
        names = [name_of(value) for value in observed(model.graph) if value in laid_out]
        pooled = {
            name: shape[0] for name in names if len(shape := shapes.get(name) or ()) == 4 and _is_known(shape)
        }
        return cls(
            builder=GraphBuilder(model),
            shapes=shapes,
            infinite=infinite,
            by_sample=by_sample,
            pooled=pooled.keys(),
            images=next(iter(pooled.values()), None),
        )

    def observe(self, value: ir.Value) -> Probe:
        """Adds the observers of one tensor."""
        shape = self.shapes.get(name_of(value))
        if name_of(value) in self.pooled and _is_known(shape):
            return self._observe_image(value, shape)
        return self._observe_any(value, shape)

    def _observe_image(self, value: ir.Value, shape: tuple[int, ...]) -> Probe:
        builder, name = self.builder, name_of(value)
        stride = max(1, round(math.sqrt(math.prod(shape) / SUBSAMPLE)))
        if name in self.infinite:  # MaxPool would make the least number of -inf
            ends = builder.integers(0, 0), builder.integers(2**62, 2**62), builder.integers(2, 3)
            grid = builder.node("Slice", [value, *ends, builder.integers(stride, stride)])
            return self._probe(name, self._rows(value), builder.output(grid), None)
        grid = builder.node("MaxPool", [value], kernel_shape=[1, 1], strides=[stride, stride])
        channels, cut = shape[1], clamp_range(_producer(value))
        negative = None
        if cut is None or cut[0] < 0.0:
            negative = builder.node("Conv", [value, builder.minus_ones(channels)], group=channels)
        highest = builder.node("GlobalMaxPool", [value])
        lowest = None if negative is None else builder.node("GlobalMaxPool", [negative])
        pooled = shape[0] == self.images
        if pooled:
            lo = None if lowest is None else builder.joined(PEAKS, lowest, channels)
            hi = builder.joined(PEAKS, highest, channels)
        else:
            lo = (
                None
                if lowest is None
                else self._extremum("ReduceMin", self._rows(builder.node("Neg", [lowest])))
            )
            hi = self._extremum("ReduceMax", self._rows(highest))
        return Probe(tensor=name, pooled=pooled, lo=lo, hi=hi, subsample=builder.output(grid), size=None)

    def _observe_any(self, value: ir.Value, shape: Shape | None) -> Probe:
        builder, rows = self.builder, self._rows(value)
        size = None if _is_known(shape) else builder.output(builder.node("Shape", [rows]))
        if shape is not None:
            assumed = math.prod(ASSUMED if dim is None else dim for dim in shape)
            whole, step = rows, builder.integers(stride_for(assumed))
        else:
            # A tensor of unknown size may be empty, and the reduction of nothing is an error; zero is in every range.
            whole = builder.node("Pad", [rows, builder.integers(0, 0, 0, 1)])
            step = _computed_stride(builder, rows)
        ends = builder.integers(0), builder.integers(2**62), builder.integers(1)
        subsample = builder.output(builder.node("Slice", [rows, *ends, step]))
        return self._probe(name_of(value), whole, subsample, size)

    def _probe(self, name: str, rows: ir.Value, subsample: str, size: str | None) -> Probe:
        """The extrema of each row; of its finite values where the tensor is known to hold others."""
        if name not in self.infinite:
            lo, hi = self._extremum("ReduceMin", rows), self._extremum("ReduceMax", rows)
            return Probe(tensor=name, pooled=False, lo=lo, hi=hi, subsample=subsample, size=size)
        builder = self.builder
        infinite, undefined = builder.node("IsInf", [rows]), builder.node("IsNaN", [rows])
        above = builder.node("Where", [infinite, builder.number(math.inf), rows])
        below = builder.node("Where", [infinite, builder.number(-math.inf), rows])
        counts = [
            builder.reduce("ReduceSum", builder.node("Cast", [which], to=ir.DataType.INT64.value))
            for which in (infinite, undefined)
        ]
        return Probe(
            tensor=name,
            pooled=False,
            lo=self._extremum("ReduceMin", above),
            hi=self._extremum("ReduceMax", below),
            subsample=subsample,
            size=size,
            infinite=max(builder.joined(n, c) for n, c in zip((INFINITE, UNDEFINED), counts, strict=True)),
        )

    def _rows(self, value: ir.Value) -> ir.Value:
        """The value, (rows, any)."""
        return self.builder.node("Reshape", [value, self.builder.integers(0 if self.by_sample else 1, -1)])

    def _extremum(self, op_type: str, rows: ir.Value) -> int:
        return self.builder.joined(EXTREMA, self.builder.reduce(op_type, rows))


def _producer(value: ir.Value) -> ir.Node:
    producer = value.producer()
    assert producer is not None
    return producer


def stride_for(size: int) -> int:
    """Step between sampled elements, coprime to every dimension.

    Coprime to the size: so the samples do not all fall into one channel or column.
    """
    stride = max(1, size // SUBSAMPLE)
    while math.gcd(stride, max(size, 1)) > 1:
        stride += 1
    return stride


def _computed_stride(builder: GraphBuilder, rows: ir.Value) -> ir.Value:
    """The same at run time, as far as integer operators go: the next odd number."""
    size = builder.node("Gather", [builder.node("Shape", [rows]), builder.integer(1)])
    half = builder.node("Div", [size, builder.integer(2 * SUBSAMPLE)])
    even = builder.node("Mul", [half, builder.integer(2)])
    odd = builder.node("Add", [even, builder.integer(1)])
    return builder.node("Reshape", [odd, builder.integers(1)])
