"""Values as JSON that any reader takes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["escaped", "jsonable", "to_json"]


def jsonable(value: Any) -> Any:
    """The same as plain JSON values: mappings, lists, text, finite numbers; dataclasses become mappings."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        return jsonable(value.tolist())
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def to_json(value: Any) -> str:
    """`value` as strict JSON text: no NaN, no Infinity.

    Bytes that are not UTF-8 become escapes.
    """
    text = json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)
    return escaped(text, r"[\ud800-\udfff]")


def escaped(text: str, letters: str) -> str:
    """JSON text with the letters that a regular expression matches as escapes."""
    return re.sub(letters, lambda found: json.dumps(found[0])[1:-1], text)
