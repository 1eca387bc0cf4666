"""The names of nodes and values."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["name_of"]


def name_of(item: ir.Node | ir.Value) -> str:
    """The name, which every node of a prepared graph has; "" for what has none, such as an output left out."""
    return item.name or ""
