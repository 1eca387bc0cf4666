"""The published schemas of `--json`, as validators."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

__all__ = ["FOLDER", "require_valid", "validator"]

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


@cache
def validator(command: str) -> Draft202012Validator:
    path = FOLDER / f"{command.replace(' ', '-')}.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def require_valid(words: Sequence[str | Path], document: Any) -> None:
    """Holds a document against the schema of the command that begins with these words."""
    first = [str(word) for word in words[:2]]
    grouped = f"{' '.join(first)}"
    command = grouped if (FOLDER / f"{grouped.replace(' ', '-')}.json").exists() else first[0]
    validator(command).validate(document)
