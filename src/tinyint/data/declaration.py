"""Base of declared preprocessing: strict reading of YAML, and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tinyint.errors import DataError, nearest
from tinyint.files.documents import DocumentError, parse_yaml, read_document, shown
from tinyint.metadata import PREPROCESSING


class Declaration(BaseModel):
    """Declared preprocessing: `Preprocessing` of images, or `TextPreprocessing`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, mapping: object, origin: str = "preprocessing") -> Self:
        """Declaration from a mapping, which messages call `origin`.

        Raises DataError for a wrong key or value.
        """
        if not isinstance(mapping, Mapping):
            raise DataError(f"{origin} must map keys to values, got {type(mapping).__name__}")
        for key in mapping:
            if key not in cls.model_fields:
                raise DataError(
                    f"{origin} has the unknown key {shown(key)}: {nearest(str(key), cls.model_fields)}"
                )
        try:
            return cls.model_validate(dict(mapping))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = str(first["loc"][0]) if first["loc"] else ""
            value = f" (got {shown(mapping[key])})" if key in mapping else ""
            message = first["msg"].removeprefix("Value error, ")
            raise DataError(f"{origin}{f', key {key!r}' if key else ''}: {message}{value}") from None

    @classmethod
    def from_yaml(cls, text: str | bytes, origin: str = "preprocessing") -> Self:
        """Declaration from YAML, the inverse of `dump`. Raises DataError."""
        return cls.parse(read_mapping(text, origin), origin)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Declaration from a YAML file. Raises DataError."""
        return cls.from_yaml(read_file(path), f"the preprocessing file {path}")

    def dump(self) -> str:
        """Declaration as YAML, with every key."""
        return str(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, default_flow_style=None))

    def to_metadata(self) -> dict[str, str]:
        """Metadata entries of the declaration."""
        return {PREPROCESSING: self.dump()}


def read_mapping(text: str | bytes, origin: str) -> object:
    """Content of a YAML text, which messages call `origin`. Raises DataError."""
    try:
        return parse_yaml(text)
    except DocumentError as error:
        raise DataError(f"{origin}, line {error.line}: {error.problem}") from None


def read_file(path: str | Path) -> bytes:
    """Bytes of a preprocessing file. Raises DataError."""
    try:
        return read_document(path)
    except DocumentError as error:
        raise DataError(f"cannot read the preprocessing file {path}: {error.problem}") from None
