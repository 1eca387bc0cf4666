"""The options of the commands that suppress overlapping boxes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import typer

from tinyint.tasks.tails import Suppression

__all__ = ["SuppressionOptions"]


@dataclass(frozen=True, kw_only=True)
class SuppressionOptions:
    """Command-line changes of the NMS; None leaves the field.

    An option is the field of its name.
    """

    score_threshold: Annotated[
        float | None,
        typer.Option("--score-threshold", min=0, max=1, help="Detection: leave out boxes of lower scores."),
    ] = None
    iou_threshold: Annotated[
        float | None,
        typer.Option(
            "--iou-threshold",
            min=0,
            max=1,
            help="Detection: how much two boxes of a class may overlap (0.45).",
        ),
    ] = None
    max_detections: Annotated[
        int | None,
        typer.Option(
            "--max-detections",
            min=1,
            metavar="N",
            help="Detection: keep at most N boxes of each class and image (100).",
        ),
    ] = None

    @property
    def given(self) -> dict[str, Any]:
        """Options given on the command line, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def over(self, plain: Suppression) -> Suppression:
        """`plain` with the given options in place of its own."""
        return replace(plain, **self.given)
