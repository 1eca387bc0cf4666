"""The tables of pretrained networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

__all__ = ["networks"]

Rows: TypeAlias = Sequence[dict[str, Any]]

METRICS = {
    "ppocr_v4_rec": "lines read right",
    "ppocr_v4_det": "pixels of text, F1 against float's",
    "ppocr_cls": "direction right",
    "efficientnet_lite0": "class as float's",
    "minilm": "cosine to float's",
}
"""What the first metric of a network is."""


def networks(rows: Rows) -> str:
    """A table for each network and processor: all makers' models on both runtimes."""
    places = dict.fromkeys((name, row["measured_on"]) for name in METRICS for row in rows)
    by_place = {
        place: [row for row in rows if (row["network"], row["measured_on"]) == place] for place in places
    }
    return "\n\n".join(_table(*place, found) for place, found in by_place.items() if found)


def _table(name: str, processor: str, rows: Rows) -> str:
    samples, days = max(row.get("samples", 0) for row in rows), sorted({row["date"] for row in rows})
    lines = [
        f"**{name}**, {samples:,} samples, {processor}, {' and '.join(days)}:",
        "",
        f"| made by | runtime | {METRICS[name]} | p | ms, 1 thread | ms, 2 threads |",
        "|---" * 6 + "|",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(_cells(row))} |" for row in rows)])


def _cells(row: dict[str, Any]) -> list[str]:
    maker = [row["maker"], row["runtime"]]
    if "failed" in row:
        return [*maker, f"fails: {row['failed'].split(':')[0]}", *[""] * 3]
    first = next(iter(row["metrics"].values()))
    value = f"{first['value']:.4f}" if first["worst"] is not None else f"{first['value']:.1%}"
    times = [f"{row['ms'][threads]:.1f}" if "ms" in row else "" for threads in ("1", "2")]
    return [*maker, value, f"{first['p_as_float']:.3f}", *times]
