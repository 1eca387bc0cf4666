"""Report in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tinyint.proof.coverage import FloatNode
from tinyint.proof.placement_race import PlacementRace
from tinyint.proof.report import Report
from tinyint.report.race import race_rows, race_title
from tinyint.report.words import counted, figures, grouped, headline, next_steps

__all__ = ["float_nodes", "placements", "render", "steps"]

_NAMED = 3  # nodes per reason that are listed by name


def render(report: Report, *, hints: bool = True) -> RenderableType:
    """Report: verdict, table of figures, float nodes by reason, warnings, next steps."""
    title = f"{report.method} · {report.target} · recipe {report.recipe} · {report.runtime}"
    if report.runtime_version:
        title += f" {report.runtime_version}"
    precision = f", {report.latency.baseline.precision}" if report.latency else ""
    table = Table(
        title=escape(title), caption=escape(f"{report.host}; {counted(report.threads, 'thread')}{precision}")
    )
    table.add_column("")
    for column in ("float", "int8"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for figure in figures(report):
        table.add_row(*map(escape, (figure.name, figure.baseline, figure.int8, figure.change)))
    parts: list[RenderableType] = [*_verdict(report), table]
    if report.race is not None:
        parts.append(placements(report.race))
    if report.coverage.float_nodes and report.method != "weight_only":
        parts.append(float_nodes(report.coverage.float_nodes))
    parts += [Text(f"note: {note}", style="dim") for note in report.notes]
    parts += [Text(f"warning: {warning}", style="yellow") for warning in report.warnings]
    if report.output:
        parts.append(Text(f"written: {report.output}"))
    if hints:
        parts.append(steps(tuple(next_steps(report))))
    return Group(*parts)


def _verdict(report: Report) -> Iterator[Text]:
    """Light, sentence, and why it is not green."""
    found = report.light
    yield Text.assemble((f"● {found.colour} ", f"bold {found.colour}"), (headline(report), "bold"))
    if found.reasons:
        yield Text(f"{found.colour}, since {'; '.join(found.reasons)}", style="dim")


def placements(race: PlacementRace) -> RenderableType:
    """Table of a race, float first."""
    table = Table(title=escape(race_title(race)))
    table.add_column("")
    for column in ("int8 nodes", "latency", "speed", "SQNR", "same top-1"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for row in race_rows(race):
        cells = (row.name, row.nodes, row.milliseconds, row.speed, row.sqnr, row.top1, row.remark)
        table.add_row(*map(escape, cells), style="bold" if row.remark == "chosen" else None)
    return table


def float_nodes(nodes: tuple[FloatNode, ...]) -> RenderableType:
    """Nodes that stay in float, one line per reason."""
    lines = [Text(f"in float: {counted(len(nodes), 'node')}")]
    for reason, members in grouped(nodes).items():
        names = ", ".join(f"{node.name} ({node.op})" for node in members[:_NAMED])
        more = f", and {len(members) - _NAMED} more" if len(members) > _NAMED else ""
        lines.append(Text(f"  {len(members):>3} × {reason}: {names}{more}", style="dim"))
    return Group(*lines)


def steps(commands: tuple[str, ...]) -> RenderableType:
    """Next steps; empty if there are none."""
    return Group(*[Text(f"next: {command}", style="cyan") for command in commands])
