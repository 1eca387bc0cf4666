"""`tinyint data`: synthetic data in the real formats."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tinyint.cli.options import Json
from tinyint.cli.screen import Screen
from tinyint.extras.synthetic import FAMILIES, make

if TYPE_CHECKING:
    from tinyint.cli.documents import FamilyDocument, MadeDataDocument

__all__ = ["data"]

data = typer.Typer(no_args_is_help=True, help="Make data to try things on, in the real formats.")


@data.command("list")
def list_families(json: Json = False) -> None:
    """List the families of synthetic data.

    Example:

        tinyint data list
    """
    table = Table()
    for column in ("name", "task", "train", "val", "what"):
        table.add_column(column, justify="right" if column in ("train", "val") else "left")
    for family in FAMILIES.values():
        train, val = family.counts
        table.add_row(family.name, family.task, f"{train:,}", f"{val:,}", family.title)
    families: list[FamilyDocument] = [
        {
            "name": family.name,
            "task": family.task,
            "what": family.title,
            "train": family.counts[0],
            "val": family.counts[1],
            "classes": list(family.classes),
        }
        for family in FAMILIES.values()
    ]
    Screen(json).show({"families": families}, table)


@data.command("make")
def make_data(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="As `tinyint data list` gives it.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; new, or empty.")],
    seed: Annotated[int, typer.Option(min=0, help="Other seeds make other samples.")] = 0,
    train: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Training samples; by default the family's own number."),
    ] = None,
    val: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Validation samples; by default the family's own number."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="S",
            help="Height of the images in pixels (of scenes, the longer side); by default the family's own.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes; by default one for each core.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a family's samples.

    The same seed makes the same files, whatever the number of samples or workers.

    Example:

        tinyint data make glyphs glyphs/ --seed 1 --train 20000 --val 4000
    """
    screen = Screen(json)
    with screen.progress() as progress:
        made = make(
            family,
            directory,
            seed=seed,
            train=train,
            val=val,
            size=size,
            workers=workers or os.cpu_count() or 1,
            progress=progress,
        )
    document: MadeDataDocument = {
        "family": family,
        "directory": str(directory),
        "seed": made.seed,
        "train": made.train,
        "val": made.val,
        "size": made.family.size or None,
        "classes": list(made.family.classes),
    }
    screen.show(
        document, f"{family}: {made.train:,} training and {made.val:,} validation samples in {directory}"
    )
