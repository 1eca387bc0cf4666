"""Passage of channels through a graph.

A factor passes through operators with f(s·x) = s·f(x), and what an Add or Concat joins has it in common. An operator
without a row here pins the channels that it reads: the bound of a Clip, for one, does not scale with its input.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import facts, is_weighted, layout_of
from tinyint.graph.walk import constant_of, static_shape
from tinyint.quantization.repair.channels import Bias, ChannelGraph, Channels, ChannelTracer, Linear
from tinyint.quantization.repair.factors import FREE, Numbers

__all__ = ["trace"]


def trace(graph: ir.Graph) -> ChannelGraph:
    """The channels of a prepared float graph."""
    tracer = ChannelTracer()
    for node in graph:
        known = _PASSAGES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        passes = _linear if is_weighted(node) else known
        if passes is None or not passes(tracer, node):
            for value in (*node.inputs, *node.outputs):
                tracer.pin(value, node.op_type)
        for value in node.outputs:
            if any(use.node.graph is not graph for use in value.uses()):
                tracer.pin(value, "a subgraph")
    for value in graph.outputs:
        tracer.pin(value, None)
    return tracer.result()


def _linear(tracer: ChannelTracer, node: ir.Node) -> bool:
    """Reads its input's channels and makes new ones, if its weights are its own float32 constant."""
    data, weight, output = node.inputs[0], node.inputs[1], node.outputs[0]
    array, rank = _own_constant(weight), len(static_shape(output) or ())
    if weight is None or array is None or rank < 2 or constant_of(data) is not None:
        return False
    layout, row = layout_of(node), facts(node)
    if row is None or node.attributes.get_int("transA", 0) != 0 or (layout.batched and array.ndim != 2):
        return False
    groups, made, read = layout.matrix(array).shape[:3]
    axis = row.channel_axis % rank
    channels = tracer.of(data)
    inputs = np.full(groups * read, FREE)
    if channels is not None and channels.axis == axis and channels.numbers.size == inputs.size:
        inputs = channels.numbers
    else:
        tracer.pin(data, node.op_type)
    outputs = tracer.fresh(output, axis, groups * made).numbers
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and not _add_bias(tracer, bias, 0, outputs):
        tracer.pin(output, node.op_type)
    tracer.linears.append(
        Linear(
            node=node,
            weight=weight,
            outputs=outputs.reshape(groups, made),
            inputs=inputs.reshape(groups, read),
        )
    )
    return True


def _own_constant(value: ir.Value | None) -> np.ndarray | None:
    """The array of a float32 initializer that one node reads, once."""
    array = constant_of(value)
    if value is None or array is None or array.dtype != np.float32 or not array.size:
        return None
    own = value.is_initializer() and len(value.uses()) == 1 and not value.is_graph_output()
    return array if own and np.isfinite(array).all() else None


def _add_bias(tracer: ChannelTracer, value: ir.Value, axis: int, channels: Numbers) -> bool:
    array = _own_constant(value)
    if array is None or not 0 <= axis < array.ndim or array.shape[axis] != channels.size:
        return False
    tracer.biases.append(Bias(value=value, axis=axis, channels=channels))
    return True


def _same(tracer: ChannelTracer, node: ir.Node) -> bool:
    """One tensor in, one out, and the channels lie where they were."""
    channels = tracer.of(node.inputs[0])
    if channels is not None:
        tracer.known[name_of(node.outputs[0])] = channels
    return True


def _scaled(tracer: ChannelTracer, node: ir.Node) -> bool:
    """Products with a constant, whatever its shape, if it leaves that of the tensor."""
    data, other = node.inputs[0], node.inputs[1]
    if node.op_type == "Mul" and constant_of(other) is None:
        data, other = other, data
    if constant_of(other) is None or static_shape(node.outputs[0]) != static_shape(data):
        return False
    channels = tracer.of(data)
    if channels is not None:
        tracer.known[name_of(node.outputs[0])] = channels
    return True


def _spatial(tracer: ChannelTracer, node: ir.Node) -> bool:
    """Works along the axes after the second one."""
    channels = tracer.of(node.inputs[0])
    others = [value for value in node.outputs[1:] if value.uses() or value.is_graph_output()]
    shape = static_shape(node.outputs[0])
    if channels is not None and (
        channels.axis != 1 or others or shape is None or shape[1] != channels.numbers.size
    ):
        return False
    return _same(tracer, node)


def _resized(tracer: ChannelTracer, node: ir.Node) -> bool:
    mode = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    return mode != "tf_crop_and_resize" and _spatial(tracer, node)


def _padded(tracer: ChannelTracer, node: ir.Node) -> bool:
    pads, value = (constant_of(node.inputs[i]) if len(node.inputs) > i else None for i in (1, 2))
    given = len(node.inputs) > 2 and node.inputs[2] is not None
    zeros = not given or (value is not None and not value.any())
    plain = pads is not None and not (len(node.inputs) > 3 and node.inputs[3] is not None)
    if not plain or pads is None or not zeros or pads[1] or pads[pads.size // 2 + 1]:
        return False
    return _spatial(tracer, node)


def _sum(tracer: ChannelTracer, node: ir.Node) -> bool:
    """Tensors with a factor in common; a constant gets it too."""
    constants = [value for value in node.inputs if constant_of(value) is not None]
    tensors = [value for value in node.inputs if constant_of(value) is None]
    first = tracer.of(tensors[0]) if tensors else None
    rank = len(static_shape(node.outputs[0]) or ())
    if first is None or any(len(static_shape(value) or ()) != rank for value in tensors):
        return False
    for value in tensors[1:]:
        channels = tracer.of(value)
        if channels is None or not tracer.join(first, channels):
            return False
    for value in constants:
        axis = first.axis - rank + len(static_shape(value) or ())
        if value is None or not _add_bias(tracer, value, axis, first.numbers):
            return False
    tracer.known[name_of(node.outputs[0])] = first
    return True


def _concat(tracer: ChannelTracer, node: ir.Node) -> bool:
    """Side by side along the channels, or joined along another axis."""
    found = [tracer.of(value) for value in node.inputs]
    first = next((channels for channels in found if channels is not None), None)
    rank = len(static_shape(node.outputs[0]) or ())
    if first is None or rank == 0:
        return False
    if node.attributes.get_int("axis") % rank != first.axis:
        joined = all(channels is not None and tracer.join(first, channels) for channels in found)
        return joined and _same(tracer, node)
    parts = []
    for value, channels in zip(node.inputs, found, strict=True):
        if channels is None:
            size = (static_shape(value) or (None,) * rank)[first.axis]
            if value is None or size is None:
                return False
            channels = tracer.fresh(value, first.axis, size)
            tracer.pin(value, None)
        elif channels.axis != first.axis:
            return False
        parts.append(channels.numbers)
    tracer.known[name_of(node.outputs[0])] = Channels(first.axis, np.concatenate(parts))
    return True


def _flattened(tracer: ChannelTracer, node: ir.Node) -> bool:
    """(N, C, ...) to (N, C·...): each channel becomes as many as it has places."""
    channels = tracer.of(node.inputs[0])
    if channels is None:
        return True
    before, after = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    if channels.axis != 1 or before is None or after is None or len(after) != 2:
        return False
    places = [size for size in before[2:] if size is not None]
    each = math.prod(places)
    if len(places) != len(before) - 2 or after[1] != channels.numbers.size * each:
        return False
    tracer.known[name_of(node.outputs[0])] = Channels(1, np.repeat(channels.numbers, each))
    return True


def _transposed(tracer: ChannelTracer, node: ir.Node) -> bool:
    channels = tracer.of(node.inputs[0])
    if channels is not None:
        rank = len(static_shape(node.outputs[0]) or ())
        order = list(node.attributes.get_ints("perm", range(rank - 1, -1, -1)))
        tracer.known[name_of(node.outputs[0])] = Channels(order.index(channels.axis), channels.numbers)
    return True


def _reduced(tracer: ChannelTracer, node: ir.Node) -> bool:
    """Means and the like over axes after the channels'."""
    channels, rank = tracer.of(node.inputs[0]), len(static_shape(node.inputs[0]) or ())
    if channels is None:
        return True
    given = constant_of(node.inputs[1]) if len(node.inputs) > 1 else node.attributes.get_ints("axes", ())
    axes = [] if given is None else [int(axis) % rank for axis in given]
    return bool(axes) and min(axes) > channels.axis and _same(tracer, node)


_PASSAGES: dict[str, Callable[[ChannelTracer, ir.Node], bool]] = {
    **dict.fromkeys(("Relu", "LeakyRelu", "PRelu", "Identity", "Abs", "Neg"), _same),
    **dict.fromkeys(("Mul", "Div"), _scaled),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"), _spatial),
    "Resize": _resized,
    "Pad": _padded,
    **dict.fromkeys(("Add", "Sub", "Max", "Min", "Sum"), _sum),
    "Concat": _concat,
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze"), _flattened),
    "Transpose": _transposed,
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"), _reduced),
}
