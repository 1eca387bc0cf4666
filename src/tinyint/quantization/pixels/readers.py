"""Convolutions that read the image of a network, and why it may have none."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.data import Preprocessing
from tinyint.errors import DataError
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of, consumers, is_float32

__all__ = ["first_convolutions", "is_padded"]

_CHANNELS_FIRST = (0, 3, 1, 2)


def first_convolutions(graph: ir.Graph, preprocessing: Preprocessing) -> tuple[ir.Node, ...]:
    """All readers of the image, which must be convolutions with weights.

    Under `layout: NHWC`, those of the image with its channels first. Raises DataError with the reason.
    """
    readers = consumers(_image(graph))
    if preprocessing.layout == "NHWC":
        for node, _ in readers:
            if node.op_type != "Transpose" or tuple(node.attributes.get_ints("perm", ())) != _CHANNELS_FIRST:
                raise _read_otherwise(node, "a Transpose to channels first")
        readers = tuple(use for node, _ in readers for use in consumers(node.outputs[0]))
    for node, position in readers:
        is_conv = node.op_type == "Conv" and node.domain == "" and position == 0
        if not is_conv or constant_of(node.inputs[1]) is None:
            raise _read_otherwise(node, "a Conv with constant weights")
    return tuple(node for node, _ in readers)


def _image(graph: ir.Graph) -> ir.Value:
    """The only input, in float32 of four axes."""
    if len(graph.inputs) != 1:
        names = ", ".join(repr(name_of(value)) for value in graph.inputs)
        raise unfoldable(f"the model has {len(graph.inputs)} inputs ({names}), and an image feeds one")
    image = graph.inputs[0]
    if not is_float32(image) or image.shape is None or len(image.shape) != 4:
        raise unfoldable(f"its input {image.name!r} is {image.dtype} {image.shape}, not float32 of four axes")
    if image.is_graph_output():
        raise unfoldable(f"its input {image.name!r} is an output, too")
    return image


def is_padded(conv: ir.Node) -> bool:
    """Whether some windows of the convolution reach beyond the image."""
    automatic = conv.attributes.get_string("auto_pad", "NOTSET")
    return automatic.startswith("SAME") or any(conv.attributes.get_ints("pads", []))


def unfoldable(why: str) -> DataError:
    return DataError(
        f"the preprocessing cannot be folded into the model: {why}; leave out --fold-preprocessing "
        "(fold_preprocessing)"
    )


def _read_otherwise(node: ir.Node, expected: str) -> DataError:
    return unfoldable(
        f"the image is read by {node.op_type} {node.name!r}, not by {expected}, which could take over mean and std"
    )
