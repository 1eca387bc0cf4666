"""Settings of NMS, saved in the metadata of a model that contains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tinyint.errors import DataError, ModelError
from tinyint.metadata import SUPPRESSION

__all__ = ["Suppression", "suppression_of"]


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """Settings of NMS (non-maximum suppression), which runs per class.

    A box stays if its score is above the threshold, and no box of its class with a higher score overlaps it by more
    than the IoU. `max_detections`: per class and image. The defaults are those of PaddleDetection's YOLOv3, for
    measuring AP. Raises DataError for impossible values.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    score_threshold: float = 0.01
    iou_threshold: float = 0.45
    max_detections: int = 100

    def __post_init__(self) -> None:
        for name in ("score_threshold", "iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} is {getattr(self, name)}; expected a number from 0 to 1")
        if self.max_detections < 1:
            raise DataError(f"max_detections is {self.max_detections}; expected at least 1")

    def to_metadata(self) -> dict[str, str]:
        """Metadata entries of a model with this NMS."""
        return {SUPPRESSION: _READER.dump_json(self).decode()}


_READER: TypeAdapter[Suppression] = TypeAdapter(Suppression)


def suppression_of(metadata: Mapping[str, str]) -> Suppression | None:
    """Settings that `to_metadata` saved, or None; raises ModelError for a damaged entry."""
    text = metadata.get(SUPPRESSION)
    if text is None:
        return None
    try:
        return _READER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = ": ".join([*map(str, first["loc"]), first["msg"]])
    except DataError as error:
        reason = str(error)
    raise ModelError(f"the model's metadata entry {SUPPRESSION} is damaged: {reason}")
