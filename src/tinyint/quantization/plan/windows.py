"""Windows of pools and convolutions that int8 kernels refuse (`targets.window`)."""

from __future__ import annotations

import math

import onnx_ir as ir

from tinyint.graph.walk import static_shape
from tinyint.targets import OperatorRule, Window

__all__ = ["window_refusal"]


def window_refusal(node: ir.Node, operator: OperatorRule) -> str | None:
    """Fault of the int8 kernel with such windows; None if there is none."""
    for window in Window:
        if window in operator.windows and _has(node, window):
            return operator.windows[window]
    if _least_elements(node.outputs[0]) < operator.least:
        return f"is wrong for a result of fewer than {operator.least} elements"
    return None


def _has(node: ir.Node, window: Window) -> bool:
    """`graph.passes.pooling` has dropped the attributes that mean nothing."""
    rounded_up = bool(node.attributes.get_int("ceil_mode", 0))
    counted = bool(node.attributes.get_int("count_include_pad", 0))
    match window:
        case Window.DILATED:
            return any(dilation != 1 for dilation in node.attributes.get_ints("dilations", []))
        case Window.PADDING_COUNTED_UP:
            return rounded_up and counted
        case Window.PADDING_COUNTED:
            return counted
        case Window.ROUNDED_UP:
            return rounded_up
        case Window.GAPS:
            return len(node.inputs) > 2 and node.inputs[2] is not None and _leaves_gaps(node)
        case Window.COLUMN:
            return _makes_a_column(node)
        case Window.OUTSIDE:
            return _reads_padding_alone(node)


def _leaves_gaps(transposed: ir.Node) -> bool:
    """Whether the windows of a transposed convolution, laid down at every stride, miss places."""
    kernel = (static_shape(transposed.inputs[1]) or ())[2:]
    strides = transposed.attributes.get_ints("strides", [1] * len(kernel))
    dilations = transposed.attributes.get_ints("dilations", [1] * len(kernel))
    return any(
        size is not None and len({dilation * i % stride for i in range(size)}) < stride
        for size, stride, dilation in zip(kernel, strides, dilations, strict=True)
    )


def _reads_padding_alone(conv: ir.Node) -> bool:
    """Whether a window may lie outside of the image."""
    kernel = (static_shape(conv.inputs[1]) or ())[2:]
    pads = conv.attributes.get_ints("pads", [0] * 2 * len(kernel))
    dilations = conv.attributes.get_ints("dilations", [1] * len(kernel))
    return any(
        size is not None and max(pads[i], pads[len(kernel) + i]) > dilations[i] * (size - 1)
        for i, size in enumerate(kernel)
    )


def _makes_a_column(conv: ir.Node) -> bool:
    weight, result = static_shape(conv.inputs[1]) or (), static_shape(conv.outputs[0]) or ()
    if len(weight) != 4 or len(result) != 4 or weight[0] is None:
        return False
    several = weight[1] == 1 and weight[0] > conv.attributes.get_int("group", 1) > 1
    return several and result[3] == 1 != result[2] and conv.attributes.get_ints("strides", [1, 1])[1] > 1


def _least_elements(value: ir.Value) -> int:
    if value.shape is None:
        return 1
    return math.prod(size if isinstance(size, int) else 1 for size in value.shape)
