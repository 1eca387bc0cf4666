"""Resize and centre crop in the graph, as `Preprocessing.place` does them with Pillow.

Pillow widens its filter by the factor of shrinking (antialias), cuts it off at the image's borders (exclude_outside),
and has a = -1/2 in its bicubic one. It rounds to bytes between its horizontal and vertical pass, as ONNX Runtime does.
A side becomes side · resize // shorter, and a crop starts at (side - crop) / 2, which is rounded to even.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx_ir as ir

from tinyint.data import Preprocessing
from tinyint.errors import DataError
from tinyint.quantization.pixels.entry import Entry
from tinyint.targets import Target

__all__ = ["LEAST_OPSET", "placed", "require_placeable", "unplaceable"]

LEAST_OPSET: Final = 18  # the first whose Resize has antialias
_HEIGHT_AND_WIDTH: Final = [1, 2]
_SMOOTH: Final = {"antialias": 1, "exclude_outside": 1}
_MODES: Final[dict[str, dict[str, Any]]] = {
    "nearest": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    "bilinear": {"mode": "linear", **_SMOOTH},
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.5, **_SMOOTH},
}


def require_placeable(preprocessing: Preprocessing, target: Target) -> None:
    """Raises DataError for a resize that the target cannot do as Pillow."""
    if preprocessing.resize is None and preprocessing.crop is None:
        raise unplaceable("neither resize nor crop is declared")
    if not target.resizes:
        raise unplaceable(f"{target.name} has no operators that resize and crop bytes")
    if preprocessing.resize is not None and preprocessing.interpolation not in target.resizes:
        raise unplaceable(
            f"on {target.name}, a Resize of bytes is that of the preprocessing only by "
            f"{' or '.join(sorted(target.resizes))}, and {preprocessing.interpolation} is declared"
        )


def unplaceable(why: str) -> DataError:
    return DataError(
        f"resize and crop cannot be folded into the model: {why}; use --fold-preprocessing (fold_preprocessing: "
        "true), which leaves them outside"
    )


def placed(
    entry: Entry, pixels: ir.Value, preprocessing: Preprocessing, size: tuple[int | None, int | None]
) -> ir.Value:
    """Pixels (N, H, W, C) resized and cropped.

    `size`: height and width that the network takes; where both are known, images that come out otherwise fail.
    """
    value, now = pixels, entry.node("Shape", "size", pixels, start=1, end=3)
    if preprocessing.resize is not None:
        now = _wanted(entry, now, preprocessing.resize)
        value = entry.node(
            "Resize", "resized", value, None, None, now,
            axes=_HEIGHT_AND_WIDTH, coordinate_transformation_mode="half_pixel", **_MODES[preprocessing.interpolation],
        )  # fmt: skip
    if preprocessing.crop is not None:
        value = _cropped(entry, value, now, preprocessing.crop)
    return _settled(entry, value, pixels, size)


def _wanted(entry: Entry, size: ir.Value, resize: int | tuple[int, int]) -> ir.Value:
    """Height and width after the resize, of those before; see `Preprocessing.resized`."""
    if isinstance(resize, tuple):
        return entry.constant("resize", np.array(resize, np.int64))
    length = entry.constant("resize", np.array(resize, np.int64))
    shorter = entry.node("ReduceMin", "shorter", size, keepdims=1)
    scaled = entry.node("Div", "scaled", entry.node("Mul", "times", size, length), shorter)
    return entry.node("Max", "at_least_one", scaled, entry.constant("one", np.array(1, np.int64)))


def _cropped(entry: Entry, value: ir.Value, size: ir.Value, crop: tuple[int, int]) -> ir.Value:
    wanted, two = (
        entry.constant("crop", np.array(crop, np.int64)),
        entry.constant("two", np.array(2, np.int64)),
    )
    margins = entry.node("Sub", "margins", size, wanted)
    halves = entry.node("Div", "halves", margins, two)
    ties = entry.node(
        "Mul", "ties", entry.node("Mod", "odd", margins, two), entry.node("Mod", "uneven", halves, two)
    )
    starts = entry.node("Add", "starts", halves, ties)
    ends = entry.node("Add", "ends", starts, wanted)
    axes = entry.constant("height_and_width", np.array(_HEIGHT_AND_WIDTH, np.int64))
    return entry.node("Slice", "cropped", value, starts, ends, axes)


def _settled(
    entry: Entry, value: ir.Value, pixels: ir.Value, size: tuple[int | None, int | None]
) -> ir.Value:
    """The same pixels, of known size, where the network says it: its own shapes follow from that."""
    assert pixels.shape is not None
    count, _, _, channels = pixels.shape
    if None not in size and isinstance(channels, int):
        shape = entry.constant("placed_shape", np.array([0, *size, channels], np.int64))
        value = entry.node("Reshape", "placed", value, shape)
    value.shape, value.dtype = ir.Shape([count, *size, channels]), ir.DataType.UINT8
    return value
