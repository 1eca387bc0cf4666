"""Conversion of values to strict JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["escaped", "jsonable", "to_json"]


def jsonable(value: Any) -> Any:
    """Value as plain JSON values: mappings, lists, text, finite numbers.

    Dataclasses and pydantic models become mappings, NaN and infinity None.
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "model_dump"):  # pydantic's models
        return value.model_dump(mode="json")
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        return jsonable(value.tolist())
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def to_json(value: Any) -> str:
    """Strict JSON text, without NaN and Infinity.

    Bytes that are not UTF-8 are escaped.
    """
    text = json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)
    return escaped(text, r"[\ud800-\udfff]")


def escaped(text: str, letters: str) -> str:
    """JSON text in which letters that match a regular expression are escaped."""
    return re.sub(letters, lambda match: json.dumps(match[0])[1:-1], text)
