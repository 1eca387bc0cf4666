"""`--model-filename` and `--params-filename` on each command with a MODEL.

As Paddle's own tools have them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tinyint.errors import ModelError
from tinyint.loading import PaddleFiles

__all__ = ["names_paddle_files"]

_OPTIONS = {
    "model_filename": Annotated[
        str | None,
        typer.Option(
            "--model-filename", metavar="NAME", help="The program of a Paddle model in the directory MODEL."
        ),
    ],
    "params_filename": Annotated[
        str | None,
        typer.Option("--params-filename", metavar="NAME", help="Its weights; one file each without this."),
    ],
}


def names_paddle_files(command: Callable[..., None]) -> Callable[..., None]:
    """Adds both options to a command, which make its `model` PaddleFiles.

    A command without `model` stays as it is.
    """
    given = inspect.signature(command, eval_str=True).parameters
    if "model" not in given:
        return command
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in given.values()]
    for name, annotation in _OPTIONS.items():
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )

    @functools.wraps(command)
    def named(model: Path | None = None, **given: Any) -> None:
        names = [given.pop(name) for name in _OPTIONS]
        if model is None and any(names):
            raise ModelError("the files of a Paddle model are named, but not its directory: give --model")
        command(model=PaddleFiles.named(model, *names) if model and any(names) else model, **given)

    named.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    named.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return named
