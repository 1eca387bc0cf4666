"""Fit of a data file to a model's input and declared preprocessing."""

from __future__ import annotations

from pathlib import Path

from tinyint.data.datafile.layout import Shape
from tinyint.data.image_input import infer_preprocessing
from tinyint.data.preprocess import Preprocessing
from tinyint.errors import DataError
from tinyint.runtimes.base import TensorSpec

__all__ = ["fitting"]

_PLACED = ("resize", "interpolation", "crop")  # what pixels have gone through
_SCALED = ("scale", "mean", "std", "layout", "color")  # what values have gone through besides


def fitting(
    shape: Shape, stored: Preprocessing, declared: Preprocessing | None, spec: TensorSpec, path: Path
) -> Preprocessing:
    """Preprocessing of the stored images, before and after they are read.

    `stored` is the file's; `declared`, the user's or the model's, says the rest of what is done to pixels.
    Raises DataError where the two, or the images and the input, do not go together.
    """
    if declared is not None:
        _require_alike(shape, stored, declared, path)
    chosen = _of_pixels(stored, declared, spec) if shape.values == "uint8" else stored
    if not _fits(chosen, spec):
        raise DataError(
            f"{path} holds images of {_described(chosen.axes())} ({chosen.layout} without N), but input {spec.name!r} "
            f"is {spec}: make a file for this model, with `tinyint preprocess --model MODEL`"
        )
    if shape.values == "float32" and spec.dtype.kind != "f":
        raise DataError(
            f"{path} holds float32 values, but input {spec.name!r} is {spec}: make the file with --dtype uint8"
        )
    return chosen


def _of_pixels(stored: Preprocessing, declared: Preprocessing | None, spec: TensorSpec) -> Preprocessing:
    """Declaration for pixels: the user's or model's, else the file's, arranged as the input is."""
    if declared is not None:
        return declared
    if stored.assumed and spec.dtype.kind in "iu":
        stored = stored.changed(**infer_preprocessing(spec).model_dump(include={"scale", "mean"}))
    other = stored.changed(layout="NHWC" if stored.layout == "NCHW" else "NCHW")
    return other if _fits(other, spec) and not _fits(stored, spec) else stored


def _require_alike(shape: Shape, stored: Preprocessing, declared: Preprocessing, path: Path) -> None:
    keys = _PLACED if shape.values == "uint8" else _PLACED + _SCALED
    for key in keys:
        ours, theirs = getattr(declared, key), getattr(stored, key)
        if ours != theirs and not (key == "interpolation" and declared.resize is None):
            raise DataError(
                f"{path} was made with {key}: {_described(theirs)}, but {key}: {_described(ours)} is declared for this "
                "model: make the file anew, with `tinyint preprocess --model MODEL` or --preprocessing"
            )
    if declared.channels != stored.channels:
        raise DataError(
            f"{path} holds {stored.color} images, but color: {declared.color} is declared for this model: make the "
            "file anew, with `tinyint preprocess --model MODEL` or --preprocessing"
        )


def _fits(preprocessing: Preprocessing, spec: TensorSpec) -> bool:
    pairs = zip(spec.shape[-3:], preprocessing.axes(), strict=True)
    return all(want in (None, got) for want, got in pairs)


def _described(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(f'{each:g}' for each in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
