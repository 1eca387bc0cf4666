"""`tinyint zoo`: the reference networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tinyint.cli.options import Json
from tinyint.cli.screen import Screen

if TYPE_CHECKING:
    from tinyint.cli.documents import NetworkDocument, NetworkFileDocument

__all__ = ["zoo"]

zoo = typer.Typer(no_args_is_help=True, help="List and export the reference networks (needs tinyint\\[zoo]).")


@zoo.command("list")
def list_networks(json: Json = False) -> None:
    """List the networks of the zoo.

    Example:

        tinyint zoo list
    """
    from tinyint.extras.zoo import MODELS  # needs torch, which no other command does

    table = Table()
    for column in ("name", "task", "parameters", "input", "paper"):
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for entry in MODELS.values():
        table.add_row(entry.name, entry.task, f"{entry.parameters:,}", entry.input, entry.paper)
    networks: list[NetworkDocument] = [
        {"name": e.name, "task": e.task, "parameters": e.parameters, "size": e.size, "paper": e.paper}
        for e in MODELS.values()
    ]
    Screen(json).show({"networks": networks}, table)


@zoo.command()
def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `tinyint zoo list` gives it.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the ONNX file.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Of the weights.")] = 0,
    size: Annotated[
        int | None, typer.Option(min=1, help="Height and width, or tokens; by default the network's own.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a network as ONNX, with seeded weights and sane activations.

    The weights are not trained.

    Example:

        tinyint zoo export mobilenet_v2 -o mobilenet_v2.onnx
    """
    from tinyint.extras.zoo import export as write

    path = write(name, output, size=size, seed=seed)
    document: NetworkFileDocument = {
        "name": name,
        "output": str(path),
        "size_bytes": path.stat().st_size,
    }
    Screen(json).show(
        document,
        f"{name}: {path}",
        f"next: tinyint inspect {path}",
    )
