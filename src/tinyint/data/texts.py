"""Texts from .tsv tables, in the form of GLUE and CLUE.

A header is followed by one row per sample. The columns are `text_a`, `text_b` for pairs, and `label`, a whole number
from 0. They are separated by tabs, without quoting.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tinyint.data.class_names import names_beside
from tinyint.data.images import file_identity
from tinyint.data.labels import LabelKind
from tinyint.data.sample import Sample
from tinyint.data.text_input import TextInput, text_inputs
from tinyint.data.text_preprocess import TextPreprocessing
from tinyint.data.tokenizer import Encoder
from tinyint.errors import DataError, nearest
from tinyint.runtimes.base import TensorSpec

__all__ = ["TextSource", "text_source"]

_COLUMNS = ("label", "text_a", "text_b")
_LABEL = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Row:
    """Text or pair of texts; `line` counts from 1, which is the header."""

    text: str
    pair: str | None
    label: int | None
    line: int


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """Rows of a table, which are tokenized as they are read."""

    path: Path
    rows: Sequence[Row]
    inputs: Sequence[TextInput]
    preprocessing: TextPreprocessing
    classes: tuple[str, ...] | None = None
    notices: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def label_kind(self) -> LabelKind | None:
        return LabelKind.of(self.rows[0].label)

    @cached_property
    def encoder(self) -> Encoder:
        return Encoder(self.preprocessing)

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(os.fsencode(self.preprocessing.dump() + file_identity(self.path))).hexdigest()

    def read(self, start: int, stop: int | None) -> Generator[Sample | DataError]:
        for row in self.rows[start:stop]:
            yield self.sample(row)

    def sample(self, row: Row) -> Sample:
        """Tokenized row. Raises DataError or DependencyError."""
        tokens = self.encoder(row.text, row.pair)
        inputs = {entry.spec.name: entry.fill(tokens) for entry in self.inputs}
        return Sample(inputs, row.label, f"{self.path.name}, line {row.line}")


def text_source(path: Path, specs: Sequence[TensorSpec], declared: TextPreprocessing) -> TextSource:
    """Source of a table for a model with these inputs.

    The tokenizer may be beside it. Raises DataError.
    """
    located = declared.located([path.parent])
    inputs = text_inputs(specs, located.max_length, str(path))
    rows, notices = read_table(path)
    return TextSource(
        path=path,
        rows=rows,
        inputs=inputs,
        preprocessing=located,
        classes=names_beside(path.parent),
        notices=notices,
    )


def read_table(path: Path) -> tuple[list[Row], list[str]]:
    """Rows of a table, and notices for the user.

    Raises DataError with file and line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a table in UTF-8 (byte {error.start})") from None
    header, *lines = re.split(r"\r\n|\n|\r", text)
    names = [name.strip() for name in header.split("\t")]
    if "text_a" not in names:
        raise DataError(
            f"{path} has the columns {', '.join(map(repr, names))}; expected a header with text_a, and label and "
            f"text_b where there are any: {nearest('text_a', names)}"
        )
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise DataError(f"{path} has the column {repeated[0]!r} more than once")
    rows = [_row(names, line, n, path) for n, line in enumerate(lines, start=2) if line.strip()]
    if not rows:
        raise DataError(f"{path} has a header and no rows")
    others = [name for name in names if name not in _COLUMNS]
    return rows, [f"columns of {path} that are not used: {', '.join(others)}"] if others else []


def _row(names: Sequence[str], line: str, number: int, path: Path) -> Row:
    values = line.split("\t")
    if len(values) != len(names):
        raise DataError(
            f"{path}, line {number}: {len(values)} columns, but the header has {len(names)} ({', '.join(names)})"
        )
    fields = dict(zip(names, values, strict=True))
    label = fields.get("label")
    if label is not None and not _LABEL.fullmatch(label.strip()):
        raise DataError(
            f"{path}, line {number}: the label {label!r} is not a whole number from 0 to 999999999"
        )
    return Row(fields["text_a"], fields.get("text_b"), None if label is None else int(label), number)
