"""The float graph with its observers inside.

Handing whole activations to NumPy costs more than the model itself: a ResNet50 makes 40 MB of them an image. So the
exact extrema are reductions in the graph, and what leaves it is a few numbers a tensor and a strided subsample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from tinyint.graph.flow import clamp_range, observed
from tinyint.graph.walk import static_shape

__all__ = ["EXTREMA", "SUBSAMPLE", "Instrumented", "instrument"]

SUBSAMPLE = 4096
"""Elements a tensor and sample that reach the histogram, give or take a factor of two."""
EXTREMA = "tinyint/extrema"


@dataclass(frozen=True, kw_only=True)
class Instrumented:
    """A model whose outputs are observations.

    * `model`: outputs EXTREMA, float32 (2n,), the n minima and then the n maxima, and n subsamples, float32 (any,)
    * `tensors`: the names of the n observed tensors
    * `subsamples`: the output that holds each one's subsample
    * `sizes`: the elements of each one in one sample, or the output that tells them, int64 ()
    """

    model: ir.Model
    tensors: tuple[str, ...]
    subsamples: tuple[str, ...]
    sizes: tuple[int | str, ...]


def instrument(model: ir.Model) -> Instrumented:
    """A copy of a prepared float model that observes every tensor in `graph.flow.observed`."""
    model = model.clone()
    graph = model.graph
    values = observed(graph)
    builder = _Builder(graph)
    observations = [_observe(builder, value) for value in values]
    extrema = builder.node("Concat", [*(o.lo for o in observations), *(o.hi for o in observations)], axis=0)
    extrema.name = EXTREMA
    sizes = [o.size for o in observations]
    graph.outputs.clear()
    graph.outputs.extend([extrema, *(o.subsample for o in observations)])
    graph.outputs.extend(size for size in sizes if isinstance(size, ir.Value))
    return Instrumented(
        model=model,
        tensors=tuple(value.name or "" for value in values),
        subsamples=tuple(o.subsample.name or "" for o in observations),
        sizes=tuple(size if isinstance(size, int) else size.name or "" for size in sizes),
    )


class _Observation(NamedTuple):
    lo: ir.Value  # (1,)
    hi: ir.Value  # (1,)
    subsample: ir.Value  # (any,)
    size: ir.Value | int


def _observe(builder: _Builder, value: ir.Value) -> _Observation:
    size = _known_size(value)
    producer = value.producer()
    cut = None if producer is None else clamp_range(producer)
    if size and cut is not None and cut[0] == 0.0 and len(static_shape(value) or ()) == 4:
        return _observe_pooled(builder, value, size)
    return _observe_flat(builder, value, size)


def _observe_pooled(builder: _Builder, value: ir.Value, size: int) -> _Observation:
    """Of a tensor (N, C, H, W) >= 0, by pooling alone, which ONNX Runtime does in the blocked layout of its
    convolutions; anything else would have the whole tensor copied to another layout first. Zero is the minimum that
    matters, and the subsample is a grid."""
    stride = max(1, round(math.sqrt(size / SUBSAMPLE)))
    highest = builder.node("GlobalMaxPool", [value])
    hi = builder.node("ReduceMax", [builder.node("Reshape", [highest, builder.integers(-1)])], keepdims=1)
    grid = builder.node("MaxPool", [value], kernel_shape=[1, 1], strides=[stride, stride])
    return _Observation(builder.zero(), hi, builder.node("Reshape", [grid, builder.integers(-1)]), size)


def _observe_flat(builder: _Builder, value: ir.Value, known: int | None) -> _Observation:
    flat = builder.node("Reshape", [value, builder.integers(-1)])
    size: ir.Value | int
    if known is not None:
        size = known
        whole, step = flat, builder.integers(_stride(size))
    else:
        # A tensor of unknown size may be empty, and the reduction of nothing is an error; zero is in every range.
        whole = builder.node("Concat", [flat, builder.zero()], axis=0)
        size = builder.node("Size", [value])
        step = _computed_stride(builder, size)
    lo = builder.node("ReduceMin", [whole], keepdims=1)
    hi = builder.node("ReduceMax", [whole], keepdims=1)
    ends = builder.integers(0), builder.integers(2**62)
    return _Observation(lo, hi, builder.node("Slice", [flat, *ends, builder.integers(0), step]), size)


def _known_size(value: ir.Value) -> int | None:
    """The elements of the tensor for a batch of one; None if other dimensions than the first are open."""
    shape = static_shape(value)
    if shape is None or any(dim is None for dim in shape[1:]):
        return None
    return math.prod(1 if dim is None else dim for dim in shape)


def _stride(size: int) -> int:
    """The step from one sampled element to the next.

    Coprime to every dimension, so that the samples do not all fall into one channel or column.
    """
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
    """Appends nodes and shared constants to a graph."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._constants: dict[str, ir.Value] = {}
        self._count = 0

    def node(self, op_type: str, inputs: list[ir.Value], **attributes: int | list[int]) -> ir.Value:
        self._count += 1
        name = f"tinyint/{op_type}_{self._count}"
        node = ir.node(op_type, inputs, attributes=attributes, name=name, num_outputs=1)
        node.outputs[0].name = name
        self._graph.append(node)
        return node.outputs[0]

    def integers(self, number: int, *, scalar: bool = False) -> ir.Value:
        return self._constant(np.int64(number) if scalar else np.array([number], np.int64))

    def zero(self) -> ir.Value:
        return self._constant(np.zeros(1, np.float32))

    def _constant(self, array: np.ndarray | np.generic) -> ir.Value:
        name = f"tinyint/{array.dtype}{array.shape}{array}"
        if name not in self._constants:
            tensor = ir.tensor(np.asarray(array), name=name)
            shape = ir.Shape(array.shape)
            value = ir.Value(name=name, const_value=tensor, shape=shape, type=ir.TensorType(tensor.dtype))
            self._graph.register_initializer(value)
            self._constants[name] = value
        return self._constants[name]
