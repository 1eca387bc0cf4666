"""What a model is for, as a value that is saved in its metadata and tells every command how to read its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from tinyint.errors import ModelError, nearest
from tinyint.metadata import TASK

__all__ = [
    "TASKS",
    "Classification",
    "Detection",
    "Segmentation",
    "TaskInfo",
    "TaskName",
    "task_of",
]


TaskName: TypeAlias = Literal["classification", "detection", "segmentation"]
TASKS: tuple[TaskName, ...] = ("classification", "detection", "segmentation")
Side: TypeAlias = Annotated[float, Field(gt=0)]


class _Task(BaseModel):
    """What all tasks have: `classes`, their names in the order of the model's outputs, None where nobody gave them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: TaskName
    classes: tuple[str, ...] | None = None

    def name_of(self, number: int) -> str:
        """The name of a class, or its number where there are no names."""
        if self.classes is not None and 0 <= number < len(self.classes):
            return self.classes[number]
        return str(number)

    def to_metadata(self) -> dict[str, str]:
        """What to add to the metadata of a model."""
        return {TASK: self.model_dump_json()}


class Classification(_Task):
    """Logits (N, C), of images or of text."""

    task: Literal["classification"] = "classification"


class Segmentation(_Task):
    """Logits (N, C, H, W) at the resolution of the input; pixels labelled `ignore_label` do not count."""

    task: Literal["segmentation"] = "segmentation"
    ignore_label: int = 255


class Detection(_Task):
    """YOLOv3's heads: for stride s a map of logits (N, A·(5 + C), H/s, W/s).

    * `anchors`: for each head its A pairs of (width, height), in pixels of the network's input
    * `strides`: of each head, in the order of the model's outputs (the coarse one first)

    The channels of an anchor are tx, ty, tw, th, objectness and the C classes.
    """

    task: Literal["detection"] = "detection"
    anchors: Annotated[tuple[tuple[tuple[Side, Side], ...], ...], Field(min_length=1)]
    strides: tuple[Annotated[int, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.anchors) != len(self.strides):
            raise ValueError(
                f"there are anchors for {len(self.anchors)} heads and strides for {len(self.strides)}"
            )
        if not all(self.anchors):
            raise ValueError("every head needs an anchor")
        return self


TaskInfo: TypeAlias = Classification | Segmentation | Detection

_READER: TypeAdapter[TaskInfo] = TypeAdapter(Annotated[TaskInfo, Field(discriminator="task")])


def task_of(metadata: Mapping[str, str]) -> TaskInfo | None:
    """What `to_metadata` saved, or None. Raises ModelError when the entry is damaged."""
    text = metadata.get(TASK)
    if text is None:
        return None
    try:
        return _READER.validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        if first["type"] == "union_tag_invalid":
            told = f"unknown task {first['ctx']['tag']!r}: {nearest(str(first['ctx']['tag']), TASKS)}"
        else:
            place = ".".join(str(part) for part in first["loc"])
            told = f"{place}: {first['msg']}" if place else first["msg"]
        raise ModelError(f"the model's metadata entry {TASK} is damaged: {told}") from None
