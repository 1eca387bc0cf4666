"""Preprocessing for a model's image input: inferred from it, and checked against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyint.data.preprocess import Preprocessing
from tinyint.data.text_input import takes_texts
from tinyint.errors import DataError
from tinyint.runtimes.base import TensorSpec


def image_input(inputs: Sequence[TensorSpec], source: str) -> TensorSpec:
    """The model's only input, for images.

    Raises DataError if it has several, or the input is no image.
    """
    if takes_texts(inputs):
        raise DataError(f"{source} holds images, but the model takes texts: give a table of texts (.tsv)")
    if len(inputs) != 1:
        names = ", ".join(repr(spec.name) for spec in inputs)
        raise DataError(
            f"{source} holds images, which feed one input; the model has {len(inputs)} ({names}): "
            "give an .npz with an array per input, or a generator"
        )
    if len(inputs[0].shape) not in (3, 4):
        raise DataError(
            f"{source} holds images, but the model's input {inputs[0].name!r} is {inputs[0]}, not [N, C, H, W] or "
            "[N, H, W, C]: give the samples as arrays (.npy, .npz) or a generator"
        )
    return inputs[0]


def infer_preprocessing(spec: TensorSpec) -> Preprocessing:
    """Preprocessing for a model's input, marked `assumed`.

    It has the input's channels, height and width, and divides pixels by 255. An unsigned integer input gets the pixels
    themselves, an int8 input the pixels minus 128. Raises DataError if neither the first nor the last of the input's
    last three axes has length 1 or 3.
    """
    first, middle, last = spec.shape[-3:]
    if first in (1, 3):
        layout, channels, height, width = "NCHW", first, middle, last
    elif last in (1, 3):
        layout, channels, height, width = "NHWC", last, first, middle
    else:
        raise DataError(
            f"cannot tell the channels of input {spec.name!r} ({spec}): declare the preprocessing (layout, color)"
        )
    settings: dict[str, object] = {
        "layout": layout,
        "color": "RGB" if channels == 3 else "GRAY",
        "assumed": True,
    }
    if height is not None and width is not None:
        settings["resize"] = [height, width]
    if spec.dtype.kind in "iu":
        settings |= {"scale": 1.0, "mean": [128.0 if spec.dtype == np.int8 else 0.0]}
    return Preprocessing.parse(settings)


def check_preprocessing(preprocessing: Preprocessing, spec: TensorSpec) -> None:
    """Raises DataError if preprocessed images do not fit the input."""
    made = preprocessing.axes()
    if any(None not in (a, b) and a != b for a, b in zip(made, spec.shape[-3:], strict=True)):
        shown = ", ".join("?" if dim is None else str(dim) for dim in made)
        raise DataError(
            f"the preprocessing makes images of [{shown}] ({preprocessing.layout} without N), "
            f"but input {spec.name!r} is {spec}: change layout, color, resize or crop"
        )


def describe_assumption(preprocessing: Preprocessing) -> str:
    """Sentence for the user about an assumed preprocessing."""
    size = preprocessing.size()
    resized = f"resized to {size[0]}×{size[1]}" if size else "at their own size"
    steps = f"images {resized}, {preprocessing.color}, pixels · {preprocessing.scale:.6g} - {preprocessing.mean[0]:g}"
    return (
        f"no preprocessing was declared; assumed: {steps}. If the model was trained otherwise, its results are wrong: "
        "declare the preprocessing"
    )
