"""Folding of scale, mean and std into the first convolution.

The arithmetic is that of `codes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from tinyint.data import Preprocessing
from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.graph.passes.constants import fold_constants
from tinyint.graph.passes.opset import upgrade_opset
from tinyint.graph.passes.shapes import infer_shapes
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.calibration.statistics import ChannelMeans, Request
from tinyint.quantization.pixels.codes import Filters, PixelCodes, level_of
from tinyint.quantization.pixels.entry import Entry
from tinyint.quantization.pixels.placing import LEAST_OPSET, placed, require_placeable, unplaceable
from tinyint.quantization.pixels.readers import first_convolutions, is_padded, unfoldable
from tinyint.targets import Target

__all__ = ["Folded", "folded"]


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Float graph of pixels, and their relation to the image before.

    * `before`, `after`: the tensor that they read, channels first
    * `reverse`: whether its channels are in the opposite order
    * `level`: what a channel more holds; 0 without one
    """

    model: ir.Model
    before: str
    after: str
    codes: PixelCodes
    level: int
    reverse: bool

    def known(self, record: CalibrationRecord) -> CalibrationRecord:
        """Record with the means of the new tensor's channels.

        Where it has the old one's.
        """
        request = Request(statistic=ChannelMeans, tensor=self.before)
        observed = record.statistics.get(request)
        if not isinstance(observed, ChannelMeans):
            return record
        codes = self.codes
        pixels = observed.means() / codes.factors - codes.offsets * codes.scale
        level = [self.level * codes.scale] if self.level else []
        means = [*(pixels[::-1] if self.reverse else pixels), *level]
        moved = ChannelMeans()
        moved.update([np.array(means, np.float32)], observed.elements)
        return replace(record, statistics={**record.statistics, replace(request, tensor=self.after): moved})


def folded(
    prepared: ir.Model, preprocessing: Preprocessing, target: Target, *, resize: bool = False
) -> Folded:
    """Copy of the prepared float graph that takes pixels.

    They are uint8 (N, H, W, C), in RGB. Its function of them is that of the graph after the preprocessing, without
    resize and crop unless `resize` is set. Raises DataError where anything but convolutions reads the image, or the
    target cannot resize it.
    """
    model = _resizing(prepared, preprocessing, target) if resize else prepared.clone()
    convs = first_convolutions(model.graph, preprocessing)
    before, names = _read(convs[0], 0), [_read(conv, 1) for conv in convs]
    codes = PixelCodes.of(preprocessing, symmetric=target.activation.symmetric, scaled=target.reads_bytes)
    _require_ungrouped(convs, codes, preprocessing)
    filters = [Filters.of(_weight(conv), _groups(conv), codes) for conv in convs]
    bordered = bool(codes.offsets.any()) and any(map(is_padded, convs))
    level = level_of(max(each.least_level for each in filters), codes.zero_point) if bordered else 0
    editor = GraphEditor(model.graph)
    entry = Entry.of(editor, reads_bytes=target.reads_bytes)
    size = _network_size(model.graph, preprocessing) if resize else None
    pixels = entry.take_pixels(channels_first=preprocessing.layout == "NCHW", any_size=resize)
    if size is not None:
        pixels = placed(entry, pixels, preprocessing, size)
    image = entry.connect(pixels, codes, level)
    reverse = preprocessing.color == "BGR"
    for conv, each, name in zip(convs, filters, names, strict=True):
        weights = each.with_level(level) if level else each.weights
        if reverse:
            weights = np.concatenate([weights[:, 2::-1], weights[:, 3:]], axis=1)
        conv.replace_input_with(0, image)
        conv.replace_input_with(1, _constant(editor, name, weights))
        if not level and each.constant.any():
            _add_to_bias(editor, conv, each.growth * codes.scale)
    RemoveUnusedNodesPass()(model)
    infer_shapes(model)
    return Folded(model=model, before=before, after=name_of(image), codes=codes, level=level, reverse=reverse)


def _resizing(prepared: ir.Model, preprocessing: Preprocessing, target: Target) -> ir.Model:
    """Copy in an operator set that can resize as declared. Raises DataError where there is none."""
    require_placeable(preprocessing, target)
    model = upgrade_opset(prepared.clone(), LEAST_OPSET)
    opset = model.opset_imports[""]
    if opset < LEAST_OPSET:
        raise unplaceable(
            f"it needs opset {LEAST_OPSET}, and the model cannot be converted from opset {opset}"
        )
    fold_constants(model)  # converted operators have some as nodes
    infer_shapes(model)
    return model


def _network_size(graph: ir.Graph, preprocessing: Preprocessing) -> tuple[int | None, int | None]:
    """Height and width that the network takes, else that the preprocessing makes. Raises DataError if they differ."""
    shape = graph.inputs[0].shape
    assert shape is not None
    known = [side if isinstance(side, int) else None for side in shape]
    taken = known[2:] if preprocessing.layout == "NCHW" else known[1:3]
    made = preprocessing.size() or (None, None)
    if any(None not in pair and pair[0] != pair[1] for pair in zip(taken, made, strict=True)):
        raise unplaceable(
            f"they make images of {made[0]}×{made[1]}, but the model takes {taken[0]}×{taken[1]}"
        )
    height, width = (a if a is not None else b for a, b in zip(taken, made, strict=True))
    return height, width


def _require_ungrouped(convs: Sequence[ir.Node], codes: PixelCodes, preprocessing: Preprocessing) -> None:
    """Raises DataError for groups of channels that would have to share something."""
    grouped = next((conv for conv in convs if _groups(conv) > 1), None)
    if grouped is None:
        return
    if preprocessing.color == "BGR":
        raise unfoldable(
            f"Conv {grouped.name!r} has groups of channels, which cannot be put in the order of RGB"
        )
    if codes.offsets.any() and any(map(is_padded, convs)):
        means = ", ".join(f"{mean:g}" for mean in codes.means)
        raise unfoldable(
            f"Conv {grouped.name!r} has groups of channels and padding, and no code is the mean of them all ({means})"
        )


def _read(conv: ir.Node, position: int) -> str:
    value = conv.inputs[position]
    assert value is not None
    return name_of(value)


def _groups(conv: ir.Node) -> int:
    return conv.attributes.get_int("group", 1)


def _weight(conv: ir.Node) -> Array:
    weight = constant_of(conv.inputs[1])
    assert weight is not None
    return weight


def _constant(editor: GraphEditor, name: str, array: Array) -> ir.Value:
    return editor.constant(name, np.ascontiguousarray(array, np.float32))


def _add_to_bias(editor: GraphEditor, conv: ir.Node, growth: Array) -> None:
    conv.resize_inputs(3)
    known = constant_of(conv.inputs[2])
    bias = growth if known is None else known + growth
    conv.replace_input_with(2, _constant(editor, f"{name_of(conv)}/bias", bias))
