"""The float graph with its observers inside.

Handing whole activations to NumPy costs more than the model itself: a ResNet50 makes 40 MB of them an image. So the
exact extrema are reductions in the graph, and what leaves it is a few numbers a tensor and a strided subsample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tinyint.graph.flow import observed
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
    """

    model: ir.Model
    tensors: tuple[str, ...]
    subsamples: tuple[str, ...]


def instrument(model: ir.Model) -> Instrumented:
    """A copy of a prepared float model that observes every tensor in `graph.flow.observed`."""
    model = model.clone()
    graph = model.graph
    values = observed(graph)
    builder = _Builder(graph)
    minima, maxima, subsamples = [], [], []
    for value in values:
        lo, hi, subsample = _observe(builder, value)
        minima.append(lo)
        maxima.append(hi)
        subsamples.append(subsample)
    extrema = builder.node("Concat", [*minima, *maxima], axis=0)
    extrema.name = EXTREMA
    graph.outputs.clear()
    graph.outputs.extend([extrema, *subsamples])
    names = tuple(value.name or "" for value in values)
    return Instrumented(model=model, tensors=names, subsamples=tuple(s.name or "" for s in subsamples))


def _observe(builder: _Builder, value: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Minimum (1,), maximum (1,) and subsample of a tensor."""
    flat = builder.node("Reshape", [value, builder.integers(-1)])
    stride = _stride(value)
    if stride is None:
        # A tensor of unknown size may be empty, and the reduction of nothing is an error; zero is in every range.
        whole = builder.node("Concat", [flat, builder.zero()], axis=0)
        step = _computed_stride(builder, value)
    else:
        whole, step = flat, builder.integers(stride)
    lo = builder.node("ReduceMin", [whole], keepdims=1)
    hi = builder.node("ReduceMax", [whole], keepdims=1)
    ends = builder.integers(0), builder.integers(2**62)
    return lo, hi, builder.node("Slice", [flat, *ends, builder.integers(0), step])


def _stride(value: ir.Value) -> int | None:
    """The step from one sampled element to the next for a batch of one; None if the size is not known.

    Coprime to every dimension, so that the samples do not all fall into one channel or column.
    """
    shape = static_shape(value)
    if shape is None or any(dim is None for dim in shape[1:]):
        return None
    dims = [dim for dim in (shape[0] or 1, *shape[1:]) if dim is not None] if shape else []
    size = math.prod(dims)
    stride = max(1, size // SUBSAMPLE)
    while math.gcd(stride, max(size, 1)) > 1:
        stride += 1
    return stride


def _computed_stride(builder: _Builder, value: ir.Value) -> ir.Value:
    """The same at run time, as far as integer operators go: the next odd number."""
    size = builder.node("Size", [value])
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

    def node(self, op_type: str, inputs: list[ir.Value], **attributes: int) -> ir.Value:
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
