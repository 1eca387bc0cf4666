"""Recipes from presets, files or mappings, in tinyint's or PaddleSlim's keys."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tinyint.files.documents import DocumentError, read_document
from tinyint.quantization.paddleslim import recipe_from_paddleslim, training_from_paddleslim
from tinyint.quantization.paddleslim.literal import is_python
from tinyint.quantization.paddleslim.tables import NOT_HONOURED, READ, SECTIONS
from tinyint.quantization.recipe import Recipe, read_yaml

__all__ = ["RecipeSource", "resolve_recipe", "resolve_training"]

RecipeSource: TypeAlias = "str | Path | Recipe | Mapping[str, Any]"


def resolve_recipe(given: RecipeSource, settings: Iterable[str] = ()) -> tuple[Recipe, list[str]]:
    """Recipe with settings applied, and notes for the user.

    Raises RecipeError.

    A preset's name, a YAML file, a mapping, or either of the last two in PaddleSlim's keys, or a Python file of those.
    """
    notes: list[str] = []
    if not isinstance(given, Recipe) and _is_paddleslim(given):
        recipe, notes = recipe_from_paddleslim(given)
    else:
        recipe = _own(given)
    return recipe.with_settings(settings), notes


def resolve_training(
    given: RecipeSource, settings: Iterable[str] = ()
) -> tuple[Recipe, dict[str, Any], list[str]]:
    """As `resolve_recipe`, for quantization-aware training, with the keys of `QatSettings` that the source sets."""
    if isinstance(given, Recipe) or not _is_paddleslim(given):
        return _own(given).with_settings(settings), {}, []
    recipe, training, notes = training_from_paddleslim(given)
    return recipe.with_settings(settings), training, notes


def _own(given: RecipeSource) -> Recipe:
    if isinstance(given, Recipe):
        return given
    return Recipe.parse(given) if isinstance(given, Mapping) else Recipe.load(given)


def _is_paddleslim(given: str | Path | Mapping[str, Any]) -> bool:
    """Whether it is a Python file, or its keys are PaddleSlim's and none is a recipe's."""
    if not isinstance(given, Mapping):
        path = Path(given)
        if str(given) in Recipe.presets():
            return False
        if is_python(given):
            return True
        if path.suffix not in (".yaml", ".yml") or not os.path.isfile(path):
            return False
        try:
            given = read_yaml(read_document(path), str(path))
        except DocumentError:
            return False  # the reader of recipes says why
    theirs = {*READ, *NOT_HONOURED, *SECTIONS}
    return any(key in theirs for key in given) and not set(given) & set(Recipe.model_fields)
