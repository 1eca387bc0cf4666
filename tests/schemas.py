"""The published schemas of `--json`, as validators."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

__all__ = ["FOLDER", "place", "require_valid", "validator"]

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


def place(command: str) -> Path:
    return FOLDER / f"{command.replace(' ', '-').replace('/', '-')}.json"


@cache
def validator(command: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(place(command).read_text(encoding="utf-8")))


def require_valid(words: Sequence[str | Path], document: Any) -> None:
    """Holds a document against the schema of the command that begins with these words."""
    first = [str(word) for word in words[:2]]
    published = set(FOLDER.iterdir())
    known = [command for command in (" ".join(first), first[0]) if place(command) in published]
    if known:
        validator(known[0]).validate(document)
    else:  # wrong usage: no such command
        assert document.keys() == {"error"}
