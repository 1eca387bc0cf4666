"""Training of a model that takes pixels."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
import torch
from torch import Tensor

from tinyint.data import Data, Preprocessing, Samples, resolve_preprocessing
from tinyint.data.declared import DeclarationSource
from tinyint.errors import RecipeError
from tinyint.quantization.calibrated import Calibration
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.pixels import PixelInput
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import Feeds
from tinyint.targets import Target

__all__ = ["nearest_pixels", "pixel_input", "require_foldable", "with_pixels"]

_BRIGHTEST = 255


@torch.no_grad()
def nearest_pixels(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Pixels uint8 (N, H, W, C), in RGB, nearest to preprocessed images.

    Of augmented images, whose values lie between those of pixels, this is the rounding of the input in int8.
    """
    last = images if preprocessing.layout == "NHWC" else images.movedim(1, -1)
    mean, std = (last.new_tensor(v, dtype=torch.float32) for v in (preprocessing.mean, preprocessing.std))
    pixels = ((last.float() * std + mean) / preprocessing.scale).round().clamp(0, _BRIGHTEST).to(torch.uint8)
    return (pixels.flip(-1) if preprocessing.color == "BGR" else pixels).contiguous()


def pixel_input(
    model: ir.Model,
    recipe: Recipe,
    given: DeclarationSource | None,
    data: CalibrationRecord | Data,
    calibration: Calibration,
) -> PixelInput | None:
    """Input whose preprocessing is folded in, if the recipe says so.

    The preprocessing is `given`, or what the data or the model declare. Raises RecipeError and DataError.
    """
    if not recipe.fold_preprocessing:
        if given is not None:
            raise RecipeError(
                f"recipe {recipe.name}: `preprocessing` has no effect without `fold_preprocessing: true`"
            )
        return None
    known = None if given is not None else calibration.preprocessing
    if known is None and given is None and not isinstance(data, CalibrationRecord):
        given = Samples.of(data).preprocessing
    return PixelInput.of(model, known or resolve_preprocessing(given, model.metadata_props))


def require_foldable(pixels: PixelInput | None, prepared: ir.Model, target: Target) -> None:
    """Raises RecipeError or DataError where pixels cannot be trained on."""
    if pixels is None:
        return
    if not target.reads_bytes:
        raise RecipeError(
            f"`fold_preprocessing` in training: {target.name} has no operators on bytes, so that its pixels would come "
            "with a scale of 1, at which the first weights do not train like others; leave it out, or use `quantize`"
        )
    pixels.fold(prepared, target)


def with_pixels(
    pixels: PixelInput | None,
    graph: ir.Model,
    target: Target,
    record: CalibrationRecord,
    samples: Sequence[Feeds],
) -> tuple[ir.Model, CalibrationRecord, Sequence[Feeds]]:
    """Graph, record and samples with the preprocessing folded in, or as they are."""
    if pixels is None:
        return graph, record, samples
    folded = pixels.fold(graph, target)
    return folded.model, folded.known(record), [pixels.feeds(feeds) for feeds in samples]
