"""Commands by name, imported only when they run.

Help and version need none of them.
"""

from __future__ import annotations

from typing import Annotated

import typer

import tinyint
from tinyint.cli.group import Commands

__all__ = ["app"]

app = typer.Typer(
    name="tinyint",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tinyint {tinyint.__version__}")
        raise typer.Exit


@app.callback()
def tinyint_(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn a float model into an 8-bit one, and prove it on the runtime.

    Start with `tinyint demo`, then `tinyint quantize MODEL -o OUT --data DATA`.
    """
