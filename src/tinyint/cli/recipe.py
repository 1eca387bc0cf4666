"""`tinyint recipe`: show recipes, and convert PaddleSlim's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from tinyint.cli.options import Json
from tinyint.cli.screen import Screen
from tinyint.quantization.paddleslim import recipe_from_paddleslim, training_from_paddleslim
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe_source import ChangedRecipe, resolve_recipe

if TYPE_CHECKING:
    from tinyint.cli.documents import PaddleSlimDocument

__all__ = ["recipe"]

recipe = typer.Typer(no_args_is_help=True, help="Show recipes, or convert one from PaddleSlim.")


@recipe.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]",
            help="A preset, a YAML file or a PaddleSlim config; all presets without one.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key first. Can be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Print a recipe as YAML, with every key that has an effect.

    Examples:

        tinyint recipe show

        tinyint recipe show default --set calibration=kl > mine.yaml
    """
    names = [name] if name else Recipe.presets()
    screen, found = Screen(json), []
    for each in names:
        made, notes = resolve_recipe(ChangedRecipe(each, tuple(settings or ())))
        found.append(made)
        for note in notes:
            screen.warn(note)
    documents = [yaml.safe_load(each.dump()) for each in found]
    texts = [each.dump().rstrip() for each in found]
    screen.show(documents[0] if name else {"recipes": documents}, "\n---\n".join(texts))


@recipe.command("from-paddleslim")
def from_paddleslim(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A PaddleSlim quantization config: YAML, or a Python file.")
    ],
    json: Json = False,
) -> None:
    """Print a PaddleSlim config as a recipe; unsupported keys go to stderr.

    Example:

        tinyint recipe from-paddleslim quant.yaml > recipe.yaml
    """
    screen = Screen(json)
    made, notes = recipe_from_paddleslim(file)
    _, training, lost = training_from_paddleslim(file)
    for note in notes:
        screen.warn(note)
    shown = [made.dump().rstrip()]
    if training:
        said = yaml.safe_dump(training, default_flow_style=True, sort_keys=False).strip()
        shown.append(f"# in `tinyint qat`, also quantization.training: {said}")
    document: PaddleSlimDocument = {
        "recipe": yaml.safe_load(made.dump()),
        "training": training,
        "not_honoured": notes,
        "not_honoured_in_training": lost,
    }
    screen.show(document, *shown)
