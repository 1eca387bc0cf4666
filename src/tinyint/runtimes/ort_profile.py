"""Times by node from the events of ONNX Runtime's profile (seen in 1.31)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from tinyint.runtimes.base import Executed, LayerTime

__all__ = ["layers"]

_KERNEL = "_kernel_time"
_TYPES = {"float": "float32", "double": "float64"}


def layers(
    events: Sequence[Mapping[str, Any]], executed: Iterable[tuple[str, Executed]], warmup: int
) -> list[LayerTime]:
    """Median times over the runs after the first `warmup`, in their order.

    `executed`: rows with the runtime's own name of the node, or the operator where it has none; of nodes that have one
    in common, in the order of their events.
    """
    rows: dict[str, list[Executed]] = {}
    for name, row in executed:
        rows.setdefault(name, []).append(row)
    runs = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("name") == "model_run")[warmup:]
    seen: dict[str, Mapping[str, Any]] = {}
    spent: dict[str, list[int]] = {}
    for event in _outermost(events):
        if any(start <= event["ts"] <= end for start, end in runs):
            key = f"{event['args'].get('node_index')} {event['name']}"
            seen.setdefault(key, event)
            spent.setdefault(key, []).append(event["dur"])
    return [_layer(event, rows, median(spent[key]) / 1e3) for key, event in seen.items()]


def _outermost(events: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Runs of nodes, without those of nodes in the bodies of others, whose time is counted there."""
    end = -1
    nodes = [e for e in events if e.get("cat") == "Node" and e["name"].endswith(_KERNEL)]
    for event in sorted(nodes, key=lambda e: (e["ts"], -e["dur"])):
        if event["ts"] + event["dur"] > end:
            yield event
            end = event["ts"] + event["dur"]


def _layer(event: Mapping[str, Any], rows: dict[str, list[Executed]], ms: float) -> LayerTime:
    args = event["args"]
    own = event["name"].removesuffix(_KERNEL) or args["op_name"]
    if rows.get(own):
        row = rows[own].pop(0)
    else:
        row = Executed(name=own, op=args["op_name"], int8=False, detail=args["op_name"], sources=())
    return LayerTime(
        name=row.name,
        op=row.op,
        precision="int8" if row.int8 else _precision(args),
        detail=row.detail,
        ms=ms,
        sources=row.sources,
    )


def _precision(args: Mapping[str, Any]) -> str:
    """Type of the values: the first float one, else that of the first output."""
    types = [
        name
        for key in ("output_type_shape", "input_type_shape")
        for each in args.get(key, ())
        for name in each
    ]
    names = [_TYPES.get(name, name) for name in types]
    return next((name for name in names if "float" in name), names[0] if names else "")
