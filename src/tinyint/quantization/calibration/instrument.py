"""The float graph with its observers inside.

Handing whole activations to NumPy costs more than the model itself: a ResNet50 makes 40 MB of them an image. So the
exact extrema are reductions in the graph, and what leaves it is a few numbers a tensor and a regular subsample.

Images (N, C, H, W) are observed by pooling alone, which ONNX Runtime does in the blocked layout of its convolutions;
anything else would have the whole tensor copied to another layout first. GlobalMaxPool gives the maximum, -max(-x) the
minimum, with -x a depthwise convolution (zero, after a clamp), and a MaxPool of one pixel with a stride is a grid.

The statistics that steps ask for (`calibrate.statistics`) are reductions of their own.

A tensor that holds infinities, as masks do, is observed without them, by other operators that are slower. So the graph
is made for those that are known to, and made anew when another one turns out to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.flow import clamp_range, observed
from tinyint.graph.names import name_of
from tinyint.graph.passes.shapes import shapes_at
from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration.builder import GraphBuilder
from tinyint.quantization.calibration.channelwise import ChannelProbe, observe_channels
from tinyint.quantization.calibration.statistics import Request

Shape: TypeAlias = "tuple[int | None, ...]"

__all__ = ["SUBSAMPLE", "Instrumented", "Observation", "instrument", "require_batches"]

SUBSAMPLE = 4096
"""Elements a tensor and sample that reach the histogram, give or take a factor of two."""
PEAKS, EXTREMA, INFINITE, UNDEFINED = (f"tinyint/{n}" for n in ("peaks", "extrema", "infinite", "undefined"))


class Observation(NamedTuple):
    """One tensor's extrema and subsample for one sample.

    `lo`, `hi`: of its finite values, inf and -inf where it has none; `subsample`: infinities included.
    """

    tensor: str
    lo: float
    hi: float
    subsample: Array
    elements: int
    infinite: int = 0
    undefined: int = 0


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Where the outputs tell of one tensor.

    * `lo`, `hi`: columns in EXTREMA, or the first of its channels in PEAKS (`lo` negated); `lo` None: zero
    * `subsample`: the output that holds it
    * `size`: the elements in one sample, or the output that tells them, int64 ()
    * `infinite`: the column in INFINITE and in UNDEFINED; None: not counted
    """

    tensor: str
    pooled: bool
    lo: int | None
    hi: int
    subsample: str
    size: int | str
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


@dataclass(frozen=True, kw_only=True)
class Instrumented:
    """Model whose outputs are observations, one row per sample or for all.

    PEAKS, float32 (N, channels, 1, 1); EXTREMA, float32, INFINITE and UNDEFINED, int64 (rows, columns); subsamples.
    `names`: what the model calls the first four, as far as it has them; `channels`: of the statistics that were asked
    for.
    """

    model: ir.Model
    probes: tuple[Probe, ...]
    names: Mapping[str, str]
    channels: tuple[ChannelProbe, ...]

    def read(self, found: Mapping[str, Array], rows: int = 1) -> list[list[Observation]]:
        """The outputs of one run on `rows` samples: sample by sample, tensor by tensor."""
        peaks = self._peaks(found, rows)
        numbers = {key: found[name].tolist() for key, name in self.names.items() if key != PEAKS}
        subsamples = [found[p.subsample].reshape(rows, -1) for p in self.probes]
        sizes = [p.size if isinstance(p.size, int) else int(found[p.size]) for p in self.probes]
        samples = []
        for row in range(rows):
            of_row = {key: values[row] for key, values in numbers.items()}
            extrema = (p.extrema(peaks[row] if p.pooled else of_row[EXTREMA]) for p in self.probes)
            odd = (p.counts(of_row) for p in self.probes)
            sample = zip(self.probes, extrema, subsamples, sizes, odd, strict=True)
            samples.append(
                [Observation(p.tensor, *ends, sub[row], size, *n) for p, ends, sub, size, n in sample]
            )
        return samples

    def overflowing(self, found: Mapping[str, Array], rows: int = 1) -> set[str]:
        """The tensors that hold infinities, and are not observed without them yet."""
        if all(np.isfinite(found[name]).all() for name in self.names.values()):
            return set()
        known = {p.tensor for p in self.probes if p.infinite is not None}
        seen = (o for sample in self.read(found, rows) for o in sample)
        return {o.tensor for o in seen if not (math.isfinite(o.lo) and math.isfinite(o.hi))} - known

    def _peaks(self, found: Mapping[str, Array], rows: int) -> list[dict[int, float]]:
        """Row by row, the maximum of each tensor, by its first channel in PEAKS."""
        starts = sorted({i for p in self.probes if p.pooled for i in (p.lo, p.hi) if i is not None})
        if not starts:
            return [{} for _ in range(rows)]
        peaks = found[self.names[PEAKS]]
        highest = peaks.reshape(rows, -1, peaks.shape[1]).max(axis=1)
        maxima = np.maximum.reduceat(highest, starts, axis=1).tolist()
        return [dict(zip(starts, row, strict=True)) for row in maxima]


def instrument(
    model: ir.Model,
    *,
    needs: AbstractSet[Request] = frozenset(),
    infinite: AbstractSet[str] = frozenset(),
    by_sample: bool = False,
) -> Instrumented:
    """Copy of a prepared float model with observers of its tensors.

    Every tensor in `graph.flow.observed` is observed, and the statistics in `needs`.

    * `infinite`: the tensors that are observed without their infinities
    * `by_sample`: a row of the outputs for each row of the inputs; else one for all, as for one sample
    """
    shapes = shapes_at(model, 1)
    model = model.clone()
    tensors = [(value, shapes.get(name_of(value))) for value in observed(model.graph)]
    images = next((shape[0] for value, shape in tensors if _is_image(value, shape) and shape), None)
    observer = _Observer(GraphBuilder(model), infinite, by_sample, images)
    probes = tuple(observer.observe(value, shape) for value, shape in tensors)
    channels = observe_channels(model.graph, observer.builder, needs, by_sample=by_sample)
    names = observer.builder.finish()
    return Instrumented(model=model, probes=probes, names=names, channels=channels)


def require_batches(model: ir.Model) -> None:
    """Requires axis 0 of inputs and observed tensors to count samples.

    Raises ModelError otherwise.
    """
    refused = "the model cannot be calibrated in batches"
    for value in model.graph.inputs:
        if value.shape is not None and value.shape and isinstance(value.shape[0], int):
            raise ModelError(
                f"{refused}: its input {value.name!r} has the fixed shape {list(value.shape)}; use a batch size of 1, "
                "or export it with an open batch"
            )
    few, many = shapes_at(model, 3), shapes_at(model, 5)
    for value in observed(model.graph):
        name = name_of(value)
        if few.get(name, ())[:1] != (3,) or many.get(name, ())[:1] != (5,):
            raise ModelError(
                f"{refused}: axis 0 of tensor {name!r} does not count the samples, or it is not known that it does; "
                "use a batch size of 1"
            )


def _is_image(value: ir.Value, shape: Shape | None) -> bool:
    """Whether pooling can observe the tensor."""
    return value.producer() is not None and len(shape or ()) == 4 and all(shape or ())


@dataclass(frozen=True)
class _Observer:
    """Adds the probes. `images`: as many as there must be along axis 0 of what is joined in PEAKS."""

    builder: GraphBuilder
    infinite: AbstractSet[str]
    by_sample: bool
    images: int | None

    def observe(self, value: ir.Value, shape: Shape | None) -> Probe:
        known = [dim for dim in shape or (None,) if dim is not None]
        size = math.prod(known) if shape is not None and len(known) == len(shape) else 0
        if _is_image(value, shape):
            return self._observe_image(value, known, size)
        return self._observe_any(value, size)

    def _observe_image(self, value: ir.Value, shape: list[int], size: int) -> Probe:
        builder, name = self.builder, name_of(value)
        stride = max(1, round(math.sqrt(size / SUBSAMPLE)))
        if name in self.infinite:  # MaxPool would make the least number of -inf
            ends = builder.integers(0, 0), builder.integers(2**62, 2**62), builder.integers(2, 3)
            grid = builder.node("Slice", [value, *ends, builder.integers(stride, stride)])
            return self._probe(name, self._rows(value), builder.output(grid), size)
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
        return Probe(tensor=name, pooled=pooled, lo=lo, hi=hi, subsample=builder.output(grid), size=size)

    def _observe_any(self, value: ir.Value, known: int) -> Probe:
        builder, rows = self.builder, self._rows(value)
        size: int | str
        if known:
            size, whole, step = known, rows, builder.integers(_stride(known))
        else:
            # A tensor of unknown size may be empty, and the reduction of nothing is an error; zero is in every range.
            whole = builder.node("Pad", [rows, builder.integers(0, 0, 0, 1)])
            count = builder.node("Gather", [builder.node("Shape", [rows]), builder.integer(1)])
            size, step = builder.output(count), _computed_stride(builder, count)
        ends = builder.integers(0), builder.integers(2**62), builder.integers(1)
        subsample = builder.output(builder.node("Slice", [rows, *ends, step]))
        return self._probe(name_of(value), whole, subsample, size)

    def _probe(self, name: str, rows: ir.Value, subsample: str, size: int | str) -> Probe:
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


def _stride(size: int) -> int:
    """Step between sampled elements, coprime to every dimension.

    Coprime to the size: so the samples do not all fall into one channel or column.
    """
    stride = max(1, size // SUBSAMPLE)
    while math.gcd(stride, max(size, 1)) > 1:
        stride += 1
    return stride


def _computed_stride(builder: GraphBuilder, size: ir.Value) -> ir.Value:
    """The same at run time, as far as integer operators go: the next odd number."""
    half = builder.node("Div", [size, builder.integer(2 * SUBSAMPLE)])
    even = builder.node("Mul", [half, builder.integer(2)])
    odd = builder.node("Add", [even, builder.integer(1)])
    return builder.node("Reshape", [odd, builder.integers(1)])
