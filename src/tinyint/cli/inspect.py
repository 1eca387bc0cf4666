"""`tinyint inspect`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from tinyint import api
from tinyint.api.inspect import CONVERSIONS, Inspection
from tinyint.cli.options import Json, Model, Runtime, Target
from tinyint.cli.screen import Screen
from tinyint.report.terminal import float_nodes
from tinyint.report.words import number, percent
from tinyint.runtimes import Executed

__all__ = ["inspect"]


def inspect(
    model: Model,
    runtime: Runtime = None,
    target: Target = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="For a float model: the recipe to plan with.")
    ] = "default",
    json: Json = False,
) -> None:
    """Show nodes in int8, their scales, and reasons for the others.

    Of a float model it shows what quantizing would do, for each target. Models of other tools can be looked at too.

    Examples:

        tinyint inspect model.int8.onnx

        tinyint inspect model.onnx --target tensorrt
    """
    found = api.inspect(model, runtime=runtime, target=target, recipe=recipe)
    document = {
        **{name: getattr(found, name) for name in Inspection.__dataclass_fields__},
        "nodes_int8": found.nodes_int8,
        "nodes_float": len(found.float_nodes),
    }
    Screen(json).show(
        document,
        _title(found),
        *_purpose(found),
        *(_quantized(found) if found.quantized else _float(found)),
        *found.notes,
    )


def _title(found: Inspection) -> str:
    if not found.quantized:
        return f"{found.model}: float"
    if found.made_by is None:
        return f"{found.model}: quantized by another tool"
    return f"{found.model}: {found.method} for {found.target}, by tinyint {found.made_by}"


def _purpose(found: Inspection) -> list[str]:
    if found.task is None:
        return []
    line = f"for {found.task}" + (f", with {found.postprocessing}" if found.postprocessing else "")
    if (kept := found.suppression) is not None:
        line += (
            f": scores above {kept.score_threshold:g}, IoU up to {kept.iou_threshold:g}, "
            f"at most {kept.max_detections} boxes of a class in an image"
        )
    return [line]


def _quantized(found: Inspection) -> list[RenderableType | str]:
    rows = found.executed or tuple(row for row in found.declared if row.op not in CONVERSIONS)
    where = f"on {found.runtime}" if found.executed else f"declared for {found.runtime}"
    nodes = Table(title=escape(f"{where}: {found.nodes_int8} of {len(rows)} nodes in int8"))
    for column in ("node", "operator", "", "kernel"):
        nodes.add_column(column, overflow="fold")
    for row in rows:
        nodes.add_row(escape(row.name), row.op, _kind(row), escape(row.detail))
    tensors = Table(title=f"{len(found.tensors)} quantized tensors")
    for column in ("tensor", "stored as", "channels", "scale", "zero point"):
        tensors.add_column(column, overflow="fold")
    for tensor in found.tensors:
        tensors.add_row(
            escape(tensor.name),
            tensor.dtype + (", constant" if tensor.constant else ""),
            "" if tensor.channels is None else str(tensor.channels),
            _span(*(number(value) for value in tensor.scale)),
            _span(*(str(value) for value in tensor.zero_point)),
        )
    return [nodes, tensors, *([float_nodes(found.float_nodes)] if found.float_nodes else [])]


def _float(found: Inspection) -> list[RenderableType | str]:
    table = Table(title="what quantizing would do")
    table.add_column("target")
    table.add_column("multiply-adds in int8", justify="right")
    table.add_column("nodes in int8", justify="right")
    table.add_column("in float")
    for plan in found.plans:
        kinds: dict[str, int] = {}
        for node in plan.float_nodes:
            kinds[node.op] = kinds.get(node.op, 0) + 1
        left = ", ".join(f"{count} {op}" for op, count in kinds.items())
        table.add_row(
            plan.target, percent(plan.macs_int8), str(plan.nodes_int8), escape(plan.problem or left)
        )
    single = found.plans[0].float_nodes if len(found.plans) == 1 else ()
    return [table, *([float_nodes(single)] if single else [])]


def _kind(row: Executed) -> str:
    if row.op in CONVERSIONS:
        return "converts"
    return "int8" if row.int8 else "float"


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} … {high}"
