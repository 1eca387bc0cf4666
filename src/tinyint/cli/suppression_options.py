"""The options of the commands that suppress overlapping boxes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import typer

from tinyint.tasks.tails import Suppression

__all__ = ["SuppressionOptions"]


@dataclass(frozen=True, kw_only=True)
class SuppressionOptions:
    """What the command line changes in a Suppression. An option is the field of its name; None leaves it."""

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
        """By name, those that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def over(self, plain: Suppression) -> Suppression:
        """`plain` with what was given in place of its own."""
        return replace(plain, **self.given)
