"""Layers as compact JSON for the page, and their times in words."""

from __future__ import annotations

import json
import re
from typing import Any

from tinyint.files.jsonable import jsonable
from tinyint.proof.layers import Layers

__all__ = ["layer_data", "time_caption"]

_DIGITS = 4
_UNFIT = r"[<>&\u2028\u2029\ud800-\udfff]"
"""Letters that end a script, or are none in UTF-8."""


def layer_data(layers: Layers) -> str:
    """JSON that may stand in a page.

    Without what is empty, with floats of 4 digits, and no angle brackets.
    """
    text = json.dumps(_compact(jsonable(layers)), separators=(",", ":"), ensure_ascii=False)
    return re.sub(_UNFIT, lambda letter: f"\\u{ord(letter[0]):04x}", text)


def _compact(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _compact(item) for key, item in value.items() if item not in (None, "", [])}
    if isinstance(value, list):
        return [_compact(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def time_caption(layers: Layers, *, restless: bool = False) -> str:
    """Sums of the profiles, with what belongs to no layer.

    `restless`: whether other work disturbed the machine.
    """
    if layers.other_ms is None:
        return ""
    parts = []
    forms = ("float", [row.float_ms for row in layers.rows]), ("int8", [row.int8_ms for row in layers.rows])
    for (name, spent), other in zip(forms, layers.other_ms, strict=True):
        total = other + sum(ms or 0.0 for ms in spent)
        parts.append(f"{name} {total:.2f} ms, of which {other:.2f} ms belong to no layer")
    return (
        f"From a profile of each model on {layers.runtime}, which slows it: {parts[0]}; {parts[1]} "
        "(conversions to and from int8, reshapes, layouts). What the runtime fuses counts for the first layer."
        f"{' The machine was busy, so that single times are rough.' if restless else ''}"
    )
