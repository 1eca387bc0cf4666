"""Recipes from presets, files or mappings, in tinyint's or PaddleSlim's keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tinyint.files.documents import DocumentError, read_document
from tinyint.quantization.paddleslim import recipe_from_paddleslim, training_from_paddleslim
from tinyint.quantization.paddleslim.literal import is_python
from tinyint.quantization.paddleslim.tables import NOT_HONOURED, READ, SECTIONS
from tinyint.quantization.recipe import Recipe, read_yaml

__all__ = ["ChangedRecipe", "RecipeSource", "resolve_recipe", "resolve_training"]

Written: TypeAlias = "str | Path | Recipe | Mapping[str, Any]"
"""A preset's name, a YAML file, a recipe or its keys; file and keys may be PaddleSlim's, or those in a Python file."""


@dataclass(frozen=True)
class ChangedRecipe:
    """Recipe with changes to its keys, each written KEY=VALUE."""

    recipe: Written
    settings: tuple[str, ...]


RecipeSource: TypeAlias = "Written | ChangedRecipe"


def resolve_recipe(given: RecipeSource) -> tuple[Recipe, list[str]]:
    """Recipe with its changes, and notes for the user. Raises RecipeError."""
    if isinstance(given, ChangedRecipe):
        recipe, notes = resolve_recipe(given.recipe)
        return recipe.with_settings(given.settings), notes
    if not isinstance(given, Recipe) and _is_paddleslim(given):
        return recipe_from_paddleslim(given)
    return _own(given), []


def resolve_training(given: RecipeSource) -> tuple[Recipe, dict[str, Any], list[str]]:
    """As `resolve_recipe`, for quantization-aware training, with the keys of `QatSettings` that the source sets."""
    if isinstance(given, ChangedRecipe):
        recipe, training, notes = resolve_training(given.recipe)
        return recipe.with_settings(given.settings), training, notes
    if isinstance(given, Recipe) or not _is_paddleslim(given):
        return _own(given), {}, []
    return training_from_paddleslim(given)


def _own(given: Written) -> Recipe:
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
