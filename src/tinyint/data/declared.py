"""Declared preprocessing of either kind.

It is of texts if it has a `tokenizer`, else of images.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tinyint.data.declaration import Declaration, read_file, read_mapping
from tinyint.data.preprocess import Preprocessing
from tinyint.data.text_preprocess import TextPreprocessing
from tinyint.metadata import PREPROCESSING

__all__ = [
    "DeclarationSource",
    "load_preprocessing",
    "parse_preprocessing",
    "resolve_preprocessing",
    "saved_preprocessing",
]

DeclarationSource: TypeAlias = "Declaration | Mapping[str, Any] | str | Path"
"""A declaration, its keys, or a YAML file with them."""


def parse_preprocessing(mapping: object, origin: str = "preprocessing") -> Declaration:
    """Preprocessing from a mapping, which messages call `origin`.

    Raises DataError for a wrong key or value.
    """
    for_texts = isinstance(mapping, Mapping) and "tokenizer" in mapping
    kind: type[Declaration] = TextPreprocessing if for_texts else Preprocessing
    return kind.parse(mapping, origin)


def load_preprocessing(path: str | Path) -> Declaration:
    """Preprocessing from a YAML file; a tokenizer's path may be relative to it.

    Raises DataError.
    """
    origin = f"the preprocessing file {path}"
    declaration = parse_preprocessing(read_mapping(read_file(path), origin), origin)
    if isinstance(declaration, TextPreprocessing):
        tokenizer = Path(path).parent / declaration.tokenizer
        if os.path.exists(tokenizer):
            return declaration.model_copy(update={"tokenizer": str(tokenizer)})
    return declaration


def saved_preprocessing(metadata: Mapping[str, str]) -> Declaration | None:
    """Preprocessing in a model's metadata, or None; raises DataError for a damaged entry."""
    text = metadata.get(PREPROCESSING)
    if text is None:
        return None
    origin = f"the model's metadata entry {PREPROCESSING}"
    return parse_preprocessing(read_mapping(text, origin), origin)


def resolve_preprocessing(given: DeclarationSource | None, metadata: Mapping[str, str]) -> Declaration | None:
    """Preprocessing as given, else from the model's metadata.

    Raises DataError.
    """
    if given is None:
        return saved_preprocessing(metadata)
    if isinstance(given, Declaration):
        return given
    return parse_preprocessing(given) if isinstance(given, Mapping) else load_preprocessing(given)
