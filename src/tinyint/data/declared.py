"""A declared preprocessing of either kind: a `tokenizer` makes it one for texts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tinyint.data.declaration import Declaration, read_file, read_mapping
from tinyint.data.preprocess import Preprocessing
from tinyint.data.text_preprocess import TextPreprocessing
from tinyint.metadata import PREPROCESSING

__all__ = ["load_preprocessing", "parse_preprocessing", "saved_preprocessing"]


def parse_preprocessing(mapping: object, origin: str = "preprocessing") -> Declaration:
    """Preprocessing from a mapping; `origin` is its label in errors.

    Raises DataError for a wrong key or value.
    """
    for_texts = isinstance(mapping, Mapping) and "tokenizer" in mapping
    kind: type[Declaration] = TextPreprocessing if for_texts else Preprocessing
    return kind.parse(mapping, origin)


def load_preprocessing(path: str | Path) -> Declaration:
    """From a YAML file; a tokenizer may be named relative to it. Raises DataError."""
    origin = f"the preprocessing file {path}"
    declared = parse_preprocessing(read_mapping(read_file(path), origin), origin)
    if isinstance(declared, TextPreprocessing):
        beside = Path(path).parent / declared.tokenizer
        if os.path.exists(beside):
            return declared.model_copy(update={"tokenizer": str(beside)})
    return declared


def saved_preprocessing(metadata: Mapping[str, str]) -> Declaration | None:
    """Preprocessing in a model's metadata, or None.

    Raises DataError when the entry is damaged.
    """
    text = metadata.get(PREPROCESSING)
    if text is None:
        return None
    origin = f"the model's metadata entry {PREPROCESSING}"
    return parse_preprocessing(read_mapping(text, origin), origin)
