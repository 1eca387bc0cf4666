"""Names of nodes and values."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["name_of"]


def name_of(item: ir.Node | ir.Value) -> str:
    """Name of a node or value; "" if it has none, as an omitted output."""
    return item.name or ""
