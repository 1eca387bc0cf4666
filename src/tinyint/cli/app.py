"""The commands by name."""

from __future__ import annotations

from typing import Annotated

import typer

import tinyint
from tinyint.cli.advise import advise
from tinyint.cli.bench import bench
from tinyint.cli.data import data
from tinyint.cli.demo import demo
from tinyint.cli.evaluate import compare, evaluate
from tinyint.cli.export import export
from tinyint.cli.group import Commands
from tinyint.cli.inspect import inspect
from tinyint.cli.machine import cache, doctor
from tinyint.cli.paddle_options import names_paddle_files
from tinyint.cli.predict import predict
from tinyint.cli.qat import qat
from tinyint.cli.quantize import calibrate, quantize
from tinyint.cli.recipe import recipe
from tinyint.cli.run_command import RunCommand
from tinyint.cli.train import train
from tinyint.cli.zoo import zoo

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
    """Turn a trained float model into an 8-bit one, and prove on the real runtime that it is as good and faster.

    Start with `tinyint demo`, then `tinyint quantize MODEL -o OUT --data DATA`.
    """


for _command in (
    demo,
    quantize,
    calibrate,
    evaluate,
    compare,
    export,
    predict,
    inspect,
    bench,
    doctor,
    advise,
    cache,
):
    app.command()(names_paddle_files(_command))
for _command in (train, qat):
    app.command(cls=RunCommand)(_command)
app.add_typer(recipe, name="recipe")
app.add_typer(zoo, name="zoo")
app.add_typer(data, name="data")
