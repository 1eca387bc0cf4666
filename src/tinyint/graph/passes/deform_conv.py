"""Deformable convolution as sampling and a 1×1 convolution.

As in im2col, the sampling lays the kernel's taps out as channels. The product over channels and taps is then a plain
convolution, which every runtime supports, with int8 kernels.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.graph.edit import GraphEditor, replace_node
from tinyint.graph.walk import constant_of, is_float32, static_shape

__all__ = ["unroll_deform_conv"]


def unroll_deform_conv(model: ir.Model) -> None:
    """Rewrites, in place, 2-D DeformConvs with constant weights and known sizes.

    The batch may be open. With K taps, G offset groups, output h × w:

        grid     = (x, y) of the offsets, / (W/2, H/2), + the positions of the taps    (N·G, K·h, w, 2)
        sampled  = GridSample(image (N·G, C/G, H, W), grid) · mask (N·G, 1, K·h, w)
        result   = Conv 1×1 (sampled (N, C·K, h, w), weight (M, C·K / group, 1, 1))

    The grid is computed by Div and Sum, not by Mul and Add: targets quantize those, and 8 bits are too few for a
    position.
    """
    opset = model.opset_imports.get("", 0)
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        if node.domain != "" or node.op_type != "DeformConv":
            continue
        image, offsets = static_shape(node.inputs[0]), static_shape(node.inputs[2])
        weight = constant_of(node.inputs[1])
        if (
            weight is None
            or weight.ndim != 4
            or image is None
            or offsets is None
            or not is_float32(node.inputs[0])
        ):
            continue
        height, width, rows, columns = *image[2:], *offsets[2:]
        if height is None or width is None or rows is None or columns is None or image[1] is None:
            continue
        _unroll(
            editor,
            node,
            weight,
            (height, width),
            (rows, columns),
            "bilinear" if opset < 20 else "linear",
        )


def _unroll(
    editor: GraphEditor,
    node: ir.Node,
    weight: NDArray[np.generic],
    image: tuple[int, int],
    result: tuple[int, int],
    mode: str,
) -> None:
    x, _, offset, bias, mask = (*node.inputs, None, None)[:5]
    name, taps, (rows, columns) = node.name or node.outputs[0].name, math.prod(weight.shape[2:]), result
    group, offset_group = (node.attributes.get_int(key, 1) for key in ("group", "offset_group"))
    channels = weight.shape[1] * group
    tape = ir.tape.Tape()

    def constant(what: str, array: NDArray[np.generic]) -> ir.Value:
        return editor.constant(f"{name}/{what}", array)

    def apply(
        op_type: str, what: str, *inputs: ir.Value | None, **attributes: int | str | list[int]
    ) -> ir.Value:
        output = tape.op(op_type, inputs, attributes or None, name=editor.node_name(f"{name}/{what}"))
        editor.rename(output, f"{name}/{what}")
        return output

    def reshaped(value: ir.Value | None, what: str, *shape: int) -> ir.Value:
        return apply("Reshape", what, value, constant(f"{what}_shape", np.array(shape, np.int64)))

    pairs = reshaped(offset, "offsets", -1, taps, 2, rows, columns)
    pairs = apply("Gather", "x_before_y", pairs, constant("swapped", np.array([1, 0])), axis=2)
    pairs = apply("Transpose", "pairs", pairs, perm=[0, 1, 3, 4, 2])
    pairs = reshaped(pairs, "offset_grid", -1, taps * rows, columns, 2)
    halves = constant("half_image", np.array([image[1] / 2, image[0] / 2], np.float32))
    grid = apply(
        "Sum",
        "grid",
        apply("Div", "scaled", pairs, halves),
        constant("taps", _tap_positions(node, weight, image, result)),
    )
    if offset_group > 1:
        x = reshaped(x, "image", -1, channels // offset_group, *image)
    sampled = apply("GridSample", "sample", x, grid, mode=mode, padding_mode="zeros", align_corners=0)
    if mask is not None:
        sampled = apply("Mul", "masked", sampled, reshaped(mask, "mask", -1, 1, taps * rows, columns))
    sampled = reshaped(sampled, "sampled", -1, channels * taps, rows, columns)
    editor.graph.insert_before(node, tape.nodes)
    kernel = constant("weight", weight.reshape(weight.shape[0], -1, 1, 1))
    inputs = [sampled, kernel] if bias is None else [sampled, kernel, bias]
    replace_node(node, "Conv", inputs, kernel_shape=[1, 1], group=group)


def _tap_positions(
    node: ir.Node, weight: NDArray[np.generic], image: tuple[int, int], result: tuple[int, int]
) -> NDArray[np.float32]:
    """Positions of the taps without offsets, in GridSample's units: -1 and 1 are the image's outer edges."""
    pads = node.attributes.get_ints("pads", [0] * 4)
    axes = []
    for axis in (0, 1):
        stride = node.attributes.get_ints("strides", [1, 1])[axis]
        reach = np.arange(weight.shape[2 + axis]) * node.attributes.get_ints("dilations", [1, 1])[axis]
        pixel = reach[:, None] + np.arange(result[axis]) * stride - pads[axis]
        axes.append((2 * pixel + 1) / image[axis] - 1)
    y, x = np.broadcast_arrays(axes[0][:, None, :, None], axes[1][None, :, None, :])
    return np.stack([x, y], -1).reshape(1, -1, result[1], 2).astype(np.float32)
