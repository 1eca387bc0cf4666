"""Removal of pool attributes that have no effect.

`ceil_mode` has none if the size is a whole number anyway, `count_include_pad` none without padding. Under `ceil_mode` a
window may reach beyond the image's end, but none begins there. Up to opset 21, ONNX's shape inference counts those too.
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
    """Spatial axis of a pool under `ceil_mode`.

    * `rest`: elements at its end that no window reads without rounding up
    * `adds`: whether rounding up adds a window
    """

    rest: int
    adds: bool


def settle_pool_sizes(model: ir.Model) -> None:
    """Rewrites pools under `ceil_mode` so that ONNX infers their true sizes, in place.

    `ceil_mode` is dropped if it adds no window. If it adds one along another axis only, the elements that no window
    reads are cut off. Needs inferred shapes.
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

    Int8 kernels for averages do not take them.
    """
    for node in model.graph:
        if node.domain != "" or node.op_type not in {"AveragePool", "MaxPool"}:
            continue
        if (axes := _axes(node)) and all(axis is not None and not axis.rest for axis in axes):
            del node.attributes["ceil_mode"]
        if node.attributes.get_int("count_include_pad", 0) and not _pads(node):
            del node.attributes["count_include_pad"]


def _axes(node: ir.Node) -> list[_Axis | None]:
    """Spatial axes of a pool under `ceil_mode`, [] for other nodes.

    An axis of unknown size is None.
    """
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
    axes: list[_Axis | None] = []
    for i, size in enumerate(sizes):
        if size is None:
            axes.append(None)
            continue
        last, rest = divmod(
            size + pads[i] + pads[len(kernel) + i] - dilations[i] * (kernel[i] - 1) - 1, strides[i]
        )
        axes.append(_Axis(rest, adds=rest > 0 and (last + 1) * strides[i] < size + pads[i]))
    return axes


def _cut(editor: GraphEditor, node: ir.Node, rests: list[int]) -> None:
    """Cuts `rests` elements off the axes' ends: first padding, then image."""
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
    """Opens the shapes of all values that depend on the pool, in place."""
    dependents = set(pool.outputs)
    for node in graph:
        inner_inputs = (value for inner in inner_nodes(node) for value in inner.inputs)
        if not dependents.isdisjoint((*node.inputs, *inner_inputs)):
            dependents.update(node.outputs)
    for value in dependents:
        if value.shape is not None:
            value.shape = ir.Shape([None] * len(value.shape))


def _pads(node: ir.Node) -> bool:
    automatic = node.attributes.get_string("auto_pad", "NOTSET")
    return automatic not in ("NOTSET", "VALID") or any(node.attributes.get_ints("pads", []))
