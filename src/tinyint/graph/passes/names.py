"""Unique names for all nodes, bodies included.

Recipes, reports and plans speak of nodes by name.
"""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["name_nodes"]


def name_nodes(model: ir.Model) -> None:
    """Names nodes in place: the first bearer keeps its name.

    Unnamed nodes become Op_0, Op_1, …, repeats name_1, ….

    The main graph's come before those in bodies.
    """
    nodes = [*model.graph, *(node for node in model.graph.all_nodes() if node.graph is not model.graph)]
    taken = {node.name for node in nodes if node.name}
    seen: set[str] = set()
    next_number: dict[str, int] = {}
    for node in nodes:
        if not node.name or node.name in seen:
            stem = node.name or node.op_type
            number = next_number.get(stem, 1 if node.name else 0)
            while f"{stem}_{number}" in taken:
                number += 1
            next_number[stem] = number + 1
            node.name = f"{stem}_{number}"
            taken.add(node.name)
        seen.add(node.name)
