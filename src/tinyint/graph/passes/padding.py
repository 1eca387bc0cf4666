"""Folding of zero Pads over spatial axes into the Conv's own padding."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.walk import constant_of

__all__ = ["fold_padding"]


def fold_padding(model: ir.Model) -> None:
    """Folds such Pads in place; a Pad stays for its other readers.

    Pads with negative amounts, other modes or other values are not folded.
    """
    for node in model.graph:
        if node.domain != "" or node.op_type != "Conv" or node.inputs[0] is None:
            continue
        pad, weight = node.inputs[0].producer(), constant_of(node.inputs[1])
        if pad is None or weight is None:
            continue
        own, amounts = _own_padding(node, weight.shape[2:]), _spatial_zeros(pad, weight.ndim)
        if own is None or amounts is None:
            continue
        node.attributes["pads"] = ir.AttrInt64s("pads", [a + b for a, b in zip(own, amounts, strict=True)])
        node.attributes.pop("auto_pad", None)
        node.replace_input_with(0, pad.inputs[0])


def _own_padding(conv: ir.Node, kernel: tuple[int, ...]) -> list[int] | None:
    """Begins and ends of the Conv.

    None if they depend on the image's size (auto_pad with strides over 1).
    """
    automatic = conv.attributes.get_string("auto_pad", "NOTSET")
    if automatic == "NOTSET":
        return list(conv.attributes.get_ints("pads", [0] * 2 * len(kernel)))
    if automatic == "VALID":
        return [0] * 2 * len(kernel)
    if any(stride != 1 for stride in conv.attributes.get_ints("strides", [1])):
        return None
    dilations = conv.attributes.get_ints("dilations", [1] * len(kernel))
    totals = [dilation * (extent - 1) for dilation, extent in zip(dilations, kernel, strict=True)]
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return less + more if automatic == "SAME_UPPER" else more + less


def _spatial_zeros(pad: ir.Node, rank: int) -> list[int] | None:
    """Begins and ends of the spatial axes.

    None unless the node pads these alone, with zeros.
    """
    if (
        pad.domain != ""
        or pad.op_type != "Pad"
        or pad.attributes.get_string("mode", "constant") != "constant"
    ):
        return None
    inputs = [*pad.inputs, None, None][:4]
    constants = [constant_of(value) for value in inputs[1:]]
    if any(
        value is not None and constant is None for value, constant in zip(inputs[1:], constants, strict=True)
    ):
        return None
    pads, fill, axes = constants
    if pads is None or (fill is not None and fill.any()):
        return None
    amounts = [0] * (2 * rank)
    padded_axes = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    for position, axis in enumerate(padded_axes):
        amounts[axis] = int(pads[position])
        amounts[rank + axis] = int(pads[len(padded_axes) + position])
    begins, ends = amounts[:rank], amounts[rank:]
    if min(amounts) < 0 or any(begins[:2]) or any(ends[:2]):
        return None
    return begins[2:] + ends[2:]
