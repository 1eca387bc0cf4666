"""`tinyint advise`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tinyint import api
from tinyint.advice.advise import Wants
from tinyint.cli.options import Data, Json, Model, Target
from tinyint.cli.screen import Screen

if TYPE_CHECKING:
    from tinyint.cli.documents import AdviseDocument

__all__ = ["advise"]


def advise(
    model: Model,
    data: Data = None,
    val: Annotated[
        str | None,
        typer.Option(
            "--val", metavar="VAL", help="Labelled samples to judge by, other than DATA.", show_default=False
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, metavar="N", help="How long all may take, training included.", show_default=False
        ),
    ] = None,
    wants: Annotated[Wants, typer.Option(help="What matters most.")] = "speed",
    target: Target = None,
    json: Json = False,
) -> None:
    """Say which method fits a float model, and why, with the commands to run.

    Examples:

        tinyint advise model.onnx --data images/

        tinyint advise model.onnx --data train/ --val val/ --minutes 240

        tinyint advise model.onnx --wants size
    """
    found = api.advise(model, data, val=val, minutes=minutes, wants=wants, target=target)
    document: AdviseDocument = {
        "model": str(model),
        "method": found.method,
        "recipe": found.recipe,
        "target": found.target,
        "reasons": found.reasons,
        "commands": found.commands,
        "facts": found.facts,
    }
    Screen(json).show(
        document,
        f"{found.method}, recipe {found.recipe}, for {found.target}",
        *(f"  - {reason}" for reason in found.reasons),
        *(f"next: {command}" for command in found.commands),
    )
