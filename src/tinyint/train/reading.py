"""Config as text: YAML, `a.b=c` overrides, errors in words, key list."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tinyint.errors import RecipeError, nearest
from tinyint.files.documents import DocumentError, read_document, sentences, shown
from tinyint.qat.settings import QatSettings
from tinyint.quantization.recipe import read_yaml
from tinyint.quantization.recipe.text import setting_value
from tinyint.train.config import TrainingConfig

_MEANINGS = {"window": "with range_absmax: of how many batches"}
_INSTEAD = {"iters": ("epochs",), "epochs": ("iters",)}  # which keys a change of a key takes the place of
_SAID_ELSEWHERE = {(QatSettings, "teacher")}  # by loss.teacher

__all__ = ["Key", "config_keys", "dump_config", "load_config", "parse_config"]


@dataclass(frozen=True)
class Key:
    """Key of the config: dotted name, type in words, default, meaning.

    The default is YAML ("required" if there is none).
    """

    name: str
    type: str
    default: str
    meaning: str


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> TrainingConfig:
    """Config of a YAML file, with `a.b=c` overrides.

    Raises RecipeError naming file and key.
    """
    try:
        content = read_document(path)
    except DocumentError as error:
        raise RecipeError(f"config {path}: cannot be read: {error.problem}") from None
    return parse_config(read_yaml(content, f"config {path}"), overrides, source=f"config {path}")


def parse_config(
    mapping: Mapping[str, Any], overrides: Iterable[str] = (), *, source: str = "config"
) -> TrainingConfig:
    """A config from its keys; `source` opens the message of an error. Raises RecipeError."""
    merged = dict(mapping)
    for override in overrides:
        _apply(merged, override)
    try:
        return TrainingConfig.model_validate(merged)
    except RecipeError as error:  # of the settings of QAT, which check themselves
        raise RecipeError(f"{source}: quantization.{error}") from None
    except ValidationError as error:
        told = sentences(_explain(dict(e)) for e in error.errors(include_url=False))
        raise RecipeError(f"{source}: {told}") from None


def dump_config(config: TrainingConfig) -> str:
    """YAML of an equal config, with the given keys.

    Wherever they came from.
    """
    return yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True), sort_keys=False)


def config_keys(model: type[BaseModel] = TrainingConfig, prefix: str = "") -> Iterator[Key]:
    """Every key, sections by their keys."""
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is not None:
            yield from config_keys(section, f"{prefix}{name}.")
            continue
        if (model, name) in _SAID_ELSEWHERE:
            continue
        default = (
            "required" if field.is_required() else _as_yaml(field.get_default(call_default_factory=True))
        )
        yield Key(prefix + name, _type_name(field.annotation), default, _meaning(model, name, field))


def _meaning(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    """The field's description, or what the docstring of its class has on it: "* `name`: meaning"."""
    if field.description:
        return field.description
    found = re.search(rf"\* `{name}`: (.*?)(?=\n\s*\*|\n\s*\n|\Z)", model.__doc__ or "", re.DOTALL)
    return " ".join(found[1].split()) if found else _MEANINGS.get(name, "")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _as_yaml(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def _type_name(kind: Any) -> str:
    """A type in words: "whole number", "sgd or adamw", "list of text"."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    if origin is typing.Literal:
        return " or ".join(str(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if part is type(None) else _type_name(part) for part in arguments)
    if origin in (tuple, list):
        return f"list of {_type_name(arguments[0])}"
    if origin is dict or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return "keys"
    return {int: "whole number", float: "number", str: "text", bool: "true or false"}.get(kind, str(kind))


def _apply(mapping: dict[str, Any], override: str) -> None:
    """Sets `a.b=c` in nested mappings, in place; sections that are given in short are spelled out first."""
    name, equals, text = override.partition("=")
    name = name.strip()
    if not equals:
        raise RecipeError(f"override {override!r}: expected KEY=VALUE, such as optimizer.learning_rate=0.01")
    model: type[BaseModel] | None = TrainingConfig
    parts = name.split(".")
    for depth, part in enumerate(parts):
        if model is not None and part not in model.model_fields:
            before = "".join(f"{p}." for p in parts[:depth])
            known = [key.name for key in config_keys(model, before)]
            raise RecipeError(f"override {override!r}: unknown key {name!r}; {nearest(name, known)}")
        field = model.model_fields[part] if model is not None else None
        if depth == len(parts) - 1:
            for other in _INSTEAD.get(name, ()):
                mapping.pop(other, None)
            mapping[part] = setting_value(override, text, is_list=False)
            return
        model = _section(field) if field is not None else None
        mapping[part] = _spelled_out(part, mapping.get(part), override)
        mapping = mapping[part]


def _spelled_out(part: str, section: Any, override: str) -> dict[str, Any]:
    if isinstance(section, str) and part == "model":
        return {"source": section}
    if section is not None and not isinstance(section, Mapping):
        raise RecipeError(f"override {override!r}: {part} is {shown(section)}, which has no keys")
    return dict(section or {})


def _explain(error: dict[str, Any]) -> str:
    names = [part for part in error["loc"] if isinstance(part, str)]
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        known = [k.name for k in config_keys()] + list(TrainingConfig.model_fields)
        return f"unknown key {shown(key)}; {nearest('.'.join(names), known)}"
    if error["type"] == "missing":
        return f"the key {key!r} is missing; `--help-config` says what it means"
    if error["type"] == "value_error":
        return f"{key}: {error['ctx']['error']}" if key else str(error["ctx"]["error"])
    expected = str(error["msg"]).replace("Input should be", "expected")
    return f"{key}: got {shown(error['input'])}, {expected}"
