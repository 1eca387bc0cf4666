"""Text preprocessing as a declared value: a tokenizer and a length.

Saved with the model.

The tokenizer's file is not put into the model: its name and its digest are, so that another file is not taken for it.
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
    """A tokenizer's file and how it is used; see the fields."""

    # A vocab.txt (BERT's WordPiece), a tokenizer.json, or a folder with one of these.
    tokenizer: Annotated[str, Field(min_length=1)]
    # Tokens of a sample, the special ones among them; longer texts are cut, shorter ones padded.
    max_length: Annotated[int, Field(ge=2, le=1 << 16, strict=True)] = 128
    # Of a vocab.txt: whether texts are lowercased and stripped of accents first (None: they are).
    lowercase: bool | None = None
    # SHA-256 of the tokenizer's file, its first 16 hexadecimal digits; set by tinyint.
    digest: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.lowercase is not None and self.tokenizer.endswith(".json"):
            raise ValueError(
                "lowercase is for a vocab.txt; a tokenizer.json says itself what is done to texts"
            )
        return self

    def located(self, near: Sequence[Path] = ()) -> TextPreprocessing:
        """The same with the path of the tokenizer's file, and its digest.

        It is looked for from the working directory, then in the folders `near`. Raises DataError when it is in none of
        these, or is another file than the digest says.
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
        looked = ", ".join(str(place.absolute()) for place in (Path(), *near))
        wanted = f" with the digest {self.digest}" if self.digest else ""
        raise DataError(
            f"the tokenizer {self.tokenizer!r}{wanted} is not in {looked}"
            + (f"; of that name, but another file: {', '.join(others)}" if others else "")
            + ". A model does not hold its tokenizer: put the file there, or declare where it is with a preprocessing "
            "file (tokenizer: PATH)"
        )

    def to_metadata(self) -> dict[str, str]:
        """Metadata entries: the tokenizer's file name and digest.

        The file without its folder.

        Raises DataError when the file cannot be found.
        """
        found = self if self.digest else self.located()
        saved = found.model_copy(update={"tokenizer": Path(found.tokenizer).name})
        return super(TextPreprocessing, saved).to_metadata()


def _file_at(path: Path) -> Path | None:
    if os.path.isdir(path):
        inside = [path / name for name in _IN_FOLDERS if os.path.isfile(path / name)]
        if not inside:
            raise DataError(f"there is no {' or '.join(_IN_FOLDERS)} in the folder {path}")
        return inside[0]
    return path if os.path.isfile(path) else None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise DataError(f"cannot read the tokenizer {path}: {error.strerror}") from None
