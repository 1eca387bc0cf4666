"""Paths for offsets: subtracted from a channel before a Relu, added back after.

From an operator with weights into its Relu, through operators that give c for the constant c, into operators with
weights that add up the same at every place: those without padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import facts, is_convolution, is_weighted, layout_of
from tinyint.graph.walk import constant_of, consumers, is_float32, sole_consumer, static_shape
from tinyint.numbers.numerics import Array

__all__ = ["OffsetPath", "Reader", "offset_paths"]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """An operator with weights that reads each channel `places` times, side by side."""

    node: ir.Node
    places: int = 1

    def weight(self) -> Array:
        """(groups, outputs, inputs, kernel)."""
        array = constant_of(self.node.inputs[1])
        assert array is not None
        found: Array = layout_of(self.node).matrix(np.ascontiguousarray(array))
        return found


@dataclass(frozen=True, kw_only=True)
class OffsetPath:
    """Path from one weighted operator to the readers of its channels.

    * `writer`: the name of the operator, `before`: of its output, before the Relu
    * `tensors`: all that hold the channels, `before` the first
    """

    writer: str
    before: str
    channels: int
    tensors: tuple[str, ...]
    readers: tuple[Reader, ...]


def offset_paths(graph: ir.Graph) -> list[OffsetPath]:
    """Offset paths of a prepared float graph."""
    return [path for node in graph if (path := _path(graph, node)) is not None]


def _path(graph: ir.Graph, node: ir.Node) -> OffsetPath | None:
    if not is_weighted(node) or not _has_own_bias(node):
        return None
    before, shape = node.outputs[0], static_shape(node.outputs[0]) or ()
    relu = sole_consumer(before)
    if relu is None or relu.op_type != "Relu" or relu.graph is not graph or not is_float32(before):
        return None
    channels = shape[1] if len(shape) > 1 else None
    followed = None if channels is None else _follow(graph, relu.outputs[0], 1)
    if channels is None or followed is None or not followed[1]:
        return None
    tensors, readers = followed
    return OffsetPath(
        writer=name_of(node),
        before=name_of(before),
        channels=channels,
        tensors=(name_of(before), *tensors),
        readers=tuple(readers),
    )


def _follow(graph: ir.Graph, value: ir.Value, places: int) -> tuple[list[str], list[Reader]] | None:
    """The tensors and readers from here on; None where something else sees the channels."""
    if value.is_graph_output():
        return None
    tensors, readers = [name_of(value)], list[Reader]()
    for node, position in consumers(value):
        if node.graph is not graph or position != 0 or node.domain not in ("", "ai.onnx"):
            return None
        if is_weighted(node):
            if not _reads_evenly(node):
                return None
            readers.append(Reader(node=node, places=places))
            continue
        more = _places(node) if node.op_type in _PASSING else None
        followed = None if more is None else _follow(graph, node.outputs[0], places * more)
        if followed is None:
            return None
        tensors += followed[0]
        readers += followed[1]
    return tensors, readers


_PASSING = ("Identity", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Flatten", "Reshape")


def _places(node: ir.Node) -> int | None:
    """How many places side by side each channel of the input takes in the output; None if it is not c for c."""
    before, after = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    if before is None or after is None or any(o.uses() or o.is_graph_output() for o in node.outputs[1:]):
        return None
    if node.op_type in ("Flatten", "Reshape"):
        sizes = [size for size in before[1:] if size is not None]
        flat = len(after) == 2 and len(sizes) == len(before) - 1 and after[1] == math.prod(sizes)
        return math.prod(sizes[1:]) if flat else None
    if node.op_type == "AveragePool" and node.attributes.get_int("count_include_pad", 0) != 0 and _pads(node):
        return None
    return 1


def _pads(node: ir.Node) -> bool:
    """Whether the operator reads beyond its input."""
    automatic = node.attributes.get_string("auto_pad", "NOTSET")
    return automatic not in ("NOTSET", "VALID") or any(node.attributes.get_ints("pads", ()))


def _reads_evenly(node: ir.Node) -> bool:
    """Whether a constant input c gives c times the weights' sum everywhere."""
    if not _has_own_bias(node):
        return False
    if is_convolution(node):
        return layout_of(node).outputs_first and not _pads(node)
    return not node.attributes.get_int("transA", 0)


def _has_own_bias(node: ir.Node) -> bool:
    """Whether weights are constant, and the bias the operator's own constant, or none yet."""
    row, weight = facts(node), constant_of(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if row is None or row.bias is None or weight is None or weight.dtype != np.float32:
        return False
    factors = [node.attributes.get_float(name, 1.0) for name in ("alpha", "beta")]
    if factors != [1.0, 1.0] or not np.isfinite(weight).all():
        return False
    if bias is None:
        return True
    array = constant_of(bias)
    return array is not None and array.ndim == 1 and bias.is_initializer() and len(bias.uses()) == 1
