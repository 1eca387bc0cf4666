"""Rounding up the size of a pooling's result means nothing where the windows fit exactly."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.walk import static_shape

__all__ = ["drop_ceil_mode"]


def drop_ceil_mode(model: ir.Model) -> None:
    """Drop the attribute, in place, where it changes nothing: OpenVINO averages in int8 only without it."""
    for node in model.graph:
        if node.domain != "" or node.op_type not in {"AveragePool", "MaxPool"}:
            continue
        if node.attributes.get_int("ceil_mode", 0) and _fits(node):
            del node.attributes["ceil_mode"]


def _fits(node: ir.Node) -> bool:
    sizes, kernel = (static_shape(node.inputs[0]) or ())[2:], node.attributes.get_ints("kernel_shape", [])
    if not sizes or len(sizes) != len(kernel) or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        return False
    axes = len(sizes)
    pads = node.attributes.get_ints("pads", [0] * 2 * axes)
    strides, dilations = (node.attributes.get_ints(key, [1] * axes) for key in ("strides", "dilations"))
    return all(
        size is not None
        and (size + pads[i] + pads[axes + i] - dilations[i] * (kernel[i] - 1) - 1) % strides[i] == 0
        for i, size in enumerate(sizes)
    )
