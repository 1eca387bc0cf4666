"""Attributes of pools that mean nothing: rounding up a size that is whole, counting padding where there is none."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.walk import static_shape

__all__ = ["drop_pool_attributes"]


def drop_pool_attributes(model: ir.Model) -> None:
    """Drop `ceil_mode` and `count_include_pad`, in place, where they change nothing: kernels average in int8 only
    without them."""
    for node in model.graph:
        if node.domain != "" or node.op_type not in {"AveragePool", "MaxPool"}:
            continue
        if node.attributes.get_int("ceil_mode", 0) and _fits(node):
            del node.attributes["ceil_mode"]
        if node.attributes.get_int("count_include_pad", 0) and not _pads(node):
            del node.attributes["count_include_pad"]


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


def _pads(node: ir.Node) -> bool:
    automatic = node.attributes.get_string("auto_pad", "NOTSET")
    return automatic not in ("NOTSET", "VALID") or any(node.attributes.get_ints("pads", []))
