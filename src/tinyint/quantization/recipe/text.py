"""The recipe as text: YAML in, settings in, and errors in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from tinyint.errors import RecipeError, nearest
from tinyint.files.documents import DocumentError, parse_yaml, sentences, shown


def read_yaml(content: str | bytes, source: str) -> dict[str, Any]:
    """Mapping of a YAML document.

    RecipeError, opened by `source` and with the line, for anything else.
    """
    try:
        document = parse_yaml(content)
    except DocumentError as error:
        raise RecipeError(f"{source}, line {error.line}: {error.problem}") from None
    if not isinstance(document, dict):
        seen = "nothing" if document is None else f"a {type(document).__name__}"
        raise RecipeError(f"{source}, line 1: expected a mapping of keys, found {seen}")
    for key in document:
        if not isinstance(key, str):
            raise RecipeError(f"{source}: expected a name as key, found {shown(key)}")
    return document


def setting_value(setting: str, text: str, *, is_list: bool) -> Any:
    """Value in `KEY=VALUE`: YAML, or plain patterns between commas.

    `*` and `@` mean something to YAML.
    """
    try:
        value = parse_yaml(text)
    except DocumentError as error:
        if not is_list:
            raise RecipeError(f"setting {shown(setting)}: {error.problem}") from None
        value = text.strip().removeprefix("[").removesuffix("]")
    if is_list and isinstance(value, str) and value not in ("default", "all"):
        return [part for part in (p.strip().strip("'\"") for p in value.split(",")) if part]
    return value


def explain(error: ValidationError, known: Mapping[str, tuple[str, ...]]) -> str:
    """One sentence per mistake: the key, the value seen, the values allowed.

    `known`: the keys of each part.
    """
    return sentences(_explain_one(dict(e), known) for e in error.errors(include_url=False))


def _explain_one(error: dict[str, Any], known: Mapping[str, tuple[str, ...]]) -> str:
    names = [part for part in error["loc"] if isinstance(part, str)]
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"unknown key {shown(key)}; {nearest(names[-1], _options(names, known))}"
    if error["type"] == "value_error":
        told = str(error["ctx"]["error"])
        seen = f"got {shown(error['input'])}, " if told.startswith("expected") else ""
        return f"{key}: {seen}{told}" if key else told
    if error["type"] in ("model_type", "model_attributes_type"):
        keys = f" with keys of {', '.join(known[names[-1]])}" if names else ""
        expected = f"expected a mapping{keys}"
    else:
        expected = str(error["msg"]).replace("Input should be", "expected")
    return f"{key or 'recipe'}: got {shown(error['input'])}, {expected}"


def _options(names: Sequence[str], known: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Keys possible at the last name; at the top, also the sections'."""
    if len(names) > 1:
        return list(known[names[-2]])
    inner = [f"{outer}.{key}" for outer in ("activations", "weights") for key in known[outer]]
    return [*known[""], *inner]
