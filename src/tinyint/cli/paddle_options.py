"""`--model-filename` and `--params-filename`, as Paddle's own tools have them, on each command that takes a MODEL."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

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
    """The command with these two options, which make its `model` PaddleFiles; as it is, if it takes no `model`."""
    given = inspect.signature(command, eval_str=True).parameters
    if "model" not in given:
        return command
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in given.values()]
    for name, annotation in _OPTIONS.items():
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )

    @functools.wraps(command)
    def named(model: Path, **given: Any) -> None:
        names = [given.pop(name) for name in _OPTIONS]
        command(model=PaddleFiles.named(model, *names) if any(names) else model, **given)

    named.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    named.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return named
