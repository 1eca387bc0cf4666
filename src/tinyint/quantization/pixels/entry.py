"""Nodes between the pixels, which come with their channels last, and the first convolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.numbers.numerics import Array
from tinyint.quantization.pixels.codes import PixelCodes

__all__ = ["Entry"]

_TO_CHANNELS_LAST = (0, 2, 3, 1)
_ANY_SIZE = ("image_height", "image_width")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Writer of the nodes, before the first of the graph.

    `reads_bytes`: whether the target's runtime has operators on uint8.
    """

    editor: GraphEditor
    name: str
    before: ir.Node
    reads_bytes: bool

    @classmethod
    def of(cls, editor: GraphEditor, *, reads_bytes: bool) -> Entry:
        graph = editor.graph
        return cls(editor=editor, name=name_of(graph.inputs[0]), before=graph[0], reads_bytes=reads_bytes)

    def take_pixels(self, *, channels_first: bool, any_size: bool = False) -> ir.Value:
        """Makes the graph's input one of uint8 (N, H, W, C).

        It had its channels first, or last; `any_size` leaves height and width open.
        """
        given = self.editor.graph.inputs[0]
        known = given.shape
        assert known is not None
        count, height, width, channels = (
            known[axis] for axis in (_TO_CHANNELS_LAST if channels_first else range(4))
        )
        given.name = None
        size = _ANY_SIZE if any_size else (height, width)
        pixels = ir.Value(
            name=self.name,
            type=ir.TensorType(ir.DataType.UINT8),
            shape=ir.Shape([count, *size, channels]),
        )
        self.editor.graph.inputs[0] = pixels
        return pixels

    def connect(self, pixels: ir.Value, codes: PixelCodes, level: int) -> ir.Value:
        """Values of the codes, channels first; with a channel of `level`, unless it is 0."""
        value = pixels if self.reads_bytes else self.node("Cast", "cast", pixels, to=ir.DataType.FLOAT)
        if not level:
            # OpenVINO 2026.4 runs a convolution of bytes that only a Transpose has moved in float: what tells
            # that they are codes comes before it
            return self._channels_first(self._less(value, codes))
        code = self.constant("level", np.array(codes.zero_point + level, self._kind))
        assert pixels.shape is not None
        _, height, width, channels = pixels.shape
        if not (isinstance(height, int) and isinstance(width, int) and isinstance(channels, int)):
            more = self.constant("channel_more", np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int64))
            value = self.node("Pad", "with_level", value, more, code)
            return self._channels_first(self._less(value, codes))
        # Pads copy rows of the last axis, which shall not be of three bytes. ONNX Runtime swaps Pad and Transpose,
        # where the shapes between them allow for it (1.31: 1.5 ms instead of 0.2 for 224×224).
        flat = self.constant("rows", np.array([0, height * width, channels], np.int64))
        value = self.node("Reshape", "as_rows", value, flat)
        value = self.node("Transpose", "as_planes", value, perm=(0, 2, 1))
        more = self.constant("channel_more", np.array([0, 0, 0, 0, 1, 0], np.int64))
        value = self.node("Pad", "with_level", value, more, code)
        planes = self.constant("planes", np.array([0, channels + 1, height, width], np.int64))
        return self._less(self.node("Reshape", "channels_first", value, planes), codes)

    def _less(self, value: ir.Value, codes: PixelCodes) -> ir.Value:
        zero = self.constant("zero_point", np.array(codes.zero_point, self._kind))
        if not self.reads_bytes:
            return self.node("Sub", "pixels", value, zero)
        scale = self.constant("scale", np.array(codes.scale, np.float32))
        return self.node("DequantizeLinear", "pixels", value, scale, zero)

    def _channels_first(self, value: ir.Value) -> ir.Value:
        return self.node("Transpose", "channels_first", value, perm=(0, 3, 1, 2))

    @property
    def _kind(self) -> type[np.generic]:
        return np.uint8 if self.reads_bytes else np.float32

    def constant(self, name: str, array: Array) -> ir.Value:
        return self.editor.constant(f"{self.name}/{name}", array)

    def node(self, op_type: str, name: str, *inputs: ir.Value | None, **attributes: object) -> ir.Value:
        return self.editor.node(op_type, inputs, f"{self.name}/{name}", attributes, before=self.before)
