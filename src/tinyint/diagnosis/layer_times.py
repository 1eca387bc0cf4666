"""Time of groups of nodes in a runtime's profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tinyint.runtimes.base import LayerTime

__all__ = ["OTHERS", "spent_by"]

OTHERS = ""
"""Group of the rows that belong to none: conversions, reshapes, changes of layout."""


def spent_by(rows: Iterable[LayerTime], owner: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds by group; `owner`: the group of each node.

    A row of several nodes counts for the group of the first that has one.
    """
    spent: dict[str, float] = {}
    for row in rows:
        group = next((owner[name] for name in (*row.sources, row.name) if name in owner), OTHERS)
        spent[group] = spent.get(group, 0.0) + row.ms
    return spent
