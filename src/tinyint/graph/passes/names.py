"""Unique names for all nodes, bodies included.

Recipes, plans and reports refer to nodes by name.
"""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["name_nodes"]


def name_nodes(model: ir.Model) -> None:
    """Makes node names unique, in place.

    Unnamed nodes become Op_0, Op_1, …. Of nodes with the same name, the first keeps it, those of the main graph before
    those in bodies; the others become name_1, name_2, ….
    """
    nodes = [*model.graph, *(node for node in model.graph.all_nodes() if node.graph is not model.graph)]
    all_names = {node.name for node in nodes if node.name}
    previous: set[str] = set()
    next_number: dict[str, int] = {}
    for node in nodes:
        if not node.name or node.name in previous:
            stem = node.name or node.op_type
            number = next_number.get(stem, 1 if node.name else 0)
            while f"{stem}_{number}" in all_names:
                number += 1
            next_number[stem] = number + 1
            node.name = f"{stem}_{number}"
            all_names.add(node.name)
        previous.add(node.name)
