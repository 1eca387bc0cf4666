"""Declared preprocessing of texts: a tokenizer and a length, saved with the model.

The model's metadata hold the name and digest of the tokenizer's file, not the file; so another file is not taken for
it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from tinyint.data.declaration import Declaration
from tinyint.errors import DataError

__all__ = ["TextPreprocessing"]

_LOWERCASE = "lowercase is for a vocab.txt"
_IN_FOLDERS = ("tokenizer.json", "vocab.txt")


class TextPreprocessing(Declaration):
    """File of a tokenizer, and its settings."""

    # A vocab.txt (BERT's WordPiece), a tokenizer.json, or a folder with one of these.
    tokenizer: Annotated[str, Field(min_length=1)]
    # Tokens of a sample, special tokens included; longer texts are truncated, shorter ones padded.
    max_length: Annotated[int, Field(ge=2, le=1 << 16, strict=True)] = 128
    # Only for a vocab.txt: whether texts are first lowercased and stripped of accents; None means yes.
    lowercase: bool | None = None
    # First 16 hexadecimal digits of the SHA-256 of the tokenizer's file; set by tinyint.
    digest: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.lowercase is not None and self.tokenizer.endswith(".json"):
            raise ValueError(
                "lowercase is for a vocab.txt; a tokenizer.json says itself what is done to texts"
            )
        return self

    def located(self, near: Sequence[Path] = ()) -> TextPreprocessing:
        """Copy with the path of the tokenizer's file, and its digest.

        The file is searched for in the working directory, then in the folders `near`. Raises DataError if it is in none
        of them, or has another digest.
        """
        others = []
        for place in (Path(), *near):
            path = _file_at(place / os.path.expanduser(self.tokenizer))
            if path is None:
                continue
            if self.lowercase is not None and path.suffix == ".json":
                raise DataError(f"{_LOWERCASE}, not for {path}, which says itself what is done to texts")
            digest = _digest(path)
            if self.digest in (None, digest):
                return self.model_copy(update={"tokenizer": str(path), "digest": digest})
            others.append(f"{path} (digest {digest})")
        searched = ", ".join(str(place.absolute()) for place in (Path(), *near))
        identity = f" with the digest {self.digest}" if self.digest else ""
        raise DataError(
            f"the tokenizer {self.tokenizer!r}{identity} is not in {searched}"
            + (f"; of that name, but another file: {', '.join(others)}" if others else "")
            + ". A model does not hold its tokenizer: put the file there, or declare where it is with a preprocessing "
            "file (tokenizer: PATH)"
        )

    def to_metadata(self) -> dict[str, str]:
        """Metadata entries, with the tokenizer's file name (without folder) and digest.

        Raises DataError if the file is not found.
        """
        located = self if self.digest else self.located()
        portable = located.model_copy(update={"tokenizer": Path(located.tokenizer).name})
        return super(TextPreprocessing, portable).to_metadata()


def _file_at(path: Path) -> Path | None:
    if os.path.isdir(path):
        files = [path / name for name in _IN_FOLDERS if os.path.isfile(path / name)]
        if not files:
            raise DataError(f"there is no {' or '.join(_IN_FOLDERS)} in the folder {path}")
        return files[0]
    return path if os.path.isfile(path) else None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise DataError(f"cannot read the tokenizer {path}: {error.strerror}") from None
