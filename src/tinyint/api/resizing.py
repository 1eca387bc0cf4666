"""Models that resize images themselves: what they are not for."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from tinyint.data import Dataset
from tinyint.data.images import ImageSource
from tinyint.data.labels import LabelKind
from tinyint.data.open import CheckedDataset
from tinyint.errors import DataError, ModelError
from tinyint.quantization.pixels import PixelInput
from tinyint.tasks import Task, task_of

__all__ = ["require_image_labels", "require_resizable", "resizes_images"]


def resizes_images(facts: Mapping[str, str]) -> bool:
    """Whether a model with these metadata resizes its images itself."""
    pixels = PixelInput.saved("image", facts)
    return pixels is not None and pixels.resizes


def require_resizable(model: ir.Model, data: Dataset | None) -> None:
    """Raises DataError for a model or data that forbid a resize inside.

    A task whose results have places in the image, or data that it cannot be proven on, as they are no image files.
    """
    task = task_of(model.metadata_props)
    if task is not None and task.label_kind is not LabelKind.CLASS:
        raise DataError(
            f"the resize cannot be folded into a model for {task.task}, whose results would be of the resized image "
            "alone: use --fold-preprocessing (fold_preprocessing: true), which leaves it outside"
        )
    source = data.source if isinstance(data, CheckedDataset) else None
    if data is not None and not isinstance(source, ImageSource):
        raise DataError(
            "a model that resizes images is proven on image files, and these data are resized already: give a folder "
            "or a list of images, or leave out the proof (--no-verify)"
        )


def require_image_labels(task: Task, facts: Mapping[str, str]) -> None:
    """Raises ModelError for a resizing model at a task whose results have places."""
    if task.label_kind is not LabelKind.CLASS and resizes_images(facts):
        raise ModelError(
            f"the model resizes images itself, so that results of {task.task} are of the resized image, whose place in "
            "the given one it does not tell: quantize with --fold-preprocessing, which leaves the resize outside"
        )
