"""The recipe as text: YAML in, settings in, and errors in words."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from tinyint.errors import RecipeError, nearest

# What PyYAML's safe loader raises beside YAMLError, on dates, tags and numbers that are none.
_YAML_ERRORS = (
    yaml.YAMLError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, which YAML forbids and PyYAML accepts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {key.value!r} stands there twice", problem_mark=key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def read_yaml(content: str | bytes, source: str) -> dict[str, Any]:
    """The mapping that a YAML document holds. RecipeError, opened by `source` and with the line, for anything else."""
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1 if isinstance(content, bytes) else 1
        raise RecipeError(f"{source}, line {line}: not text in UTF-8, expected YAML") from None
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except _YAML_ERRORS as error:
        raise RecipeError(f"{source}, line {_line(error, text)}: {_problem(error)}") from None
    if not isinstance(document, dict):
        seen = "nothing" if document is None else f"a {type(document).__name__}"
        raise RecipeError(f"{source}, line 1: expected a mapping of keys, found {seen}")
    for key in document:
        if not isinstance(key, str):
            raise RecipeError(f"{source}: expected a name as key, found {_repr.repr(key)}")
    return document


def _line(error: Exception, text: str) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", 0)  # of a yaml.reader.ReaderError
    return text[:position].count("\n") + 1 if isinstance(position, int) else 1


def _problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    told = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return f"not valid YAML: {told}" if "twice" not in str(told) else str(told)


def setting_value(setting: str, text: str, *, is_list: bool) -> Any:
    """The value in `KEY=VALUE`: YAML, or plain patterns between commas, since `*` and `@` mean something to YAML."""
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except _YAML_ERRORS as error:
        if not is_list:
            raise RecipeError(f"setting {setting!r}: {_problem(error)}") from None
        value = text.strip().removeprefix("[").removesuffix("]")
    if is_list and isinstance(value, str) and value not in ("default", "all"):
        return [part for part in (p.strip().strip("'\"") for p in value.split(",")) if part]
    return value


def explain(error: ValidationError, known: Mapping[str, tuple[str, ...]]) -> str:
    """One sentence for each mistake: the key, what was seen, what is allowed. `known`: the keys of each part."""
    return "; ".join(_explain_one(dict(e), known) for e in error.errors(include_url=False))


def _explain_one(error: dict[str, Any], known: Mapping[str, tuple[str, ...]]) -> str:
    names = [part for part in error["loc"] if isinstance(part, str)]
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        part = names[-2] if len(names) > 1 else ""
        options = list(known[part])
        if not part:
            options += [f"{outer}.{inner}" for outer in ("activations", "weights") for inner in known[outer]]
        return f"unknown key {key!r}; {nearest(names[-1], options)}"
    if error["type"] == "value_error":
        told = str(error["ctx"]["error"])
        seen = f"got {_repr.repr(error['input'])}, " if told.startswith("expected") else ""
        return f"{key}: {seen}{told}" if key else told
    if error["type"] in ("model_type", "model_attributes_type"):
        expected = (
            f"expected a mapping with keys of {', '.join(known[names[-1]])}"
            if names
            else "expected a mapping"
        )
    else:
        expected = str(error["msg"]).replace("Input should be", "expected")
    return f"{key or 'recipe'}: got {_repr.repr(error['input'])}, {expected}"
