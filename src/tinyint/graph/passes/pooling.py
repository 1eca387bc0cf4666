"""Attributes of pools without effect.

Rounding up a size that is whole, counting padding where there is none.

Under `ceil_mode` a window may stand out of the image at its end, but none begins after the image. Up to opset 21, the
shape inference of ONNX counts those too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.graph.passes.shapes import infer_shapes
from tinyint.graph.walk import inner_nodes, static_shape

__all__ = ["drop_pool_attributes", "settle_pool_sizes"]

_ROUNDING = ("AveragePool", "LpPool", "MaxPool")


class _Axis(NamedTuple):
    """Spatial axis: its unread end, and whether rounding up adds a window.

    The end that no window reads without rounding up.
    """

    rest: int
    adds: bool


def settle_pool_sizes(model: ir.Model) -> None:
    """Sets sizes of pools under `ceil_mode` as ONNX infers, in place.

    Needs inferred shapes.

    The attribute goes where it adds no window; where it adds one along another axis, what no window reads goes.
    """
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        axes = _axes(node)
        if all(axis is None or axis.adds or not axis.rest for axis in axes):
            continue
        if not any(axis is None or axis.adds for axis in axes):
            del node.attributes["ceil_mode"]
        else:
            _cut(editor, node, [0 if axis is None or axis.adds else axis.rest for axis in axes])
        _forget_shapes(model.graph, node)
        infer_shapes(model)


def drop_pool_attributes(model: ir.Model) -> None:
    """Drops ineffective `ceil_mode` and `count_include_pad`, in place.

    Kernels average in int8 only without them.
    """
    for node in model.graph:
        if node.domain != "" or node.op_type not in {"AveragePool", "MaxPool"}:
            continue
        if (axes := _axes(node)) and all(axis is not None and not axis.rest for axis in axes):
            del node.attributes["ceil_mode"]
        if node.attributes.get_int("count_include_pad", 0) and not _pads(node):
            del node.attributes["count_include_pad"]


def _axes(node: ir.Node) -> list[_Axis | None]:
    """The spatial axes of a pool under `ceil_mode`, None for each of unknown size; none for any other node."""
    if (
        node.domain != ""
        or node.op_type not in _ROUNDING
        or not node.attributes.get_int("ceil_mode", 0)
        or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    ):
        return []
    kernel = node.attributes.get_ints("kernel_shape", [])
    sizes = (static_shape(node.inputs[0]) or (None,) * (2 + len(kernel)))[2:]
    pads = node.attributes.get_ints("pads", [0] * 2 * len(kernel))
    strides, dilations = (
        node.attributes.get_ints(key, [1] * len(kernel)) for key in ("strides", "dilations")
    )
    found: list[_Axis | None] = []
    for i, size in enumerate(sizes):
        if size is None:
            found.append(None)
            continue
        last, rest = divmod(
            size + pads[i] + pads[len(kernel) + i] - dilations[i] * (kernel[i] - 1) - 1, strides[i]
        )
        found.append(_Axis(rest, adds=rest > 0 and (last + 1) * strides[i] < size + pads[i]))
    return found


def _cut(editor: GraphEditor, node: ir.Node, rests: list[int]) -> None:
    """Take so much from the ends of the axes: of the padding, then of the image."""
    pads = list(node.attributes.get_ints("pads", [0] * 2 * len(rests)))
    padding = [min(rest, pads[len(rests) + i]) for i, rest in enumerate(rests)]
    image = [rest - padded for rest, padded in zip(rests, padding, strict=True)]
    for i, padded in enumerate(padding):
        pads[len(rests) + i] -= padded
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    if not any(image):
        return
    name = name_of(node.outputs[0])
    cut = [i for i, amount in enumerate(image) if amount]
    bounds = [
        editor.constant(f"{name}/{what}", np.array(numbers, np.int64))
        for what, numbers in (
            ("starts", [0] * len(cut)),
            ("ends", [-image[i] for i in cut]),
            ("axes", [2 + i for i in cut]),
        )
    ]
    node.replace_input_with(0, editor.node("Slice", [node.inputs[0], *bounds], f"{name}/read", before=node))


def _forget_shapes(graph: ir.Graph, pool: ir.Node) -> None:
    """Removes the shapes of everything computed from the pool's output."""
    behind = set(pool.outputs)
    for node in graph:
        inside = (value for inner in inner_nodes(node) for value in inner.inputs)
        if not behind.isdisjoint((*node.inputs, *inside)):
            behind.update(node.outputs)
    for value in behind:
        if value.shape is not None:
            value.shape = ir.Shape([None] * len(value.shape))


def _pads(node: ir.Node) -> bool:
    automatic = node.attributes.get_string("auto_pad", "NOTSET")
    return automatic not in ("NOTSET", "VALID") or any(node.attributes.get_ints("pads", []))
