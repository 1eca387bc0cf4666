"""Overlays for Google's Model Explorer: a value for each node.

The format is that of its node data (https://github.com/google-ai-edge/model-explorer; GraphNodeData and NodeDataResult
in node_data_builder.py of ai-edge-model-explorer 0.1.34): results by node id. With the adapter model-explorer-onnx
0.4.2, that is the name of the node in the ONNX file.
"""

from __future__ import annotations

import math
from typing import Any

from tinyint.diagnosis.sensitivity import Sensitivity

__all__ = ["cost_overlay", "error_overlay"]

_BEST_DB = 120.0
"""In place of no error at all, which JSON has no number for."""
_BAD_FIRST = [
    {"stop": 0, "bgColor": "#d73027"},
    {"stop": 0.5, "bgColor": "#fee08b"},
    {"stop": 1, "bgColor": "#1a9850"},
]
_CHEAP_FIRST = [{"stop": 0, "bgColor": "#f7fbff"}, {"stop": 1, "bgColor": "#2171b5"}]


def error_overlay(found: Sensitivity) -> dict[str, Any]:
    """Overlay of the SQNR, in dB, that each unit leaves alone in 8 bits."""
    values = {node: min(max(row.output_db, -_BEST_DB), _BEST_DB) for row in found.rows for node in row.nodes}
    return _graph("SQNR with this unit alone in 8 bits (dB)", values, _BAD_FIRST)


def cost_overlay(found: Sensitivity) -> dict[str, Any]:
    """Overlay of the milliseconds that each unit would cost in float.

    Empty where they are not measured.
    """
    values = {
        node: row.in_float_ms
        for row in found.rows
        for node in row.nodes
        if row.in_float_ms is not None and math.isfinite(row.in_float_ms)
    }
    return _graph("cost of leaving this unit in float (ms)", values, _CHEAP_FIRST)


def _graph(name: str, values: dict[str, float], gradient: list[dict[str, Any]]) -> dict[str, Any]:
    results = {node: {"value": round(value, 4)} for node, value in values.items()}
    return {"name": name, "results": results, "gradient": gradient}
