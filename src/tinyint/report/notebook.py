"""Report in a notebook: a fragment of HTML.

It brings its styles along, and touches no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from tinyint.proof.report import Report
from tinyint.report.words import counted, figures, grouped, headline

__all__ = ["fragment"]

_BAD, _FAINT = "color:#c62828", "opacity:0.7"
_TABLE = "border-collapse:collapse;margin:0.5em 0"
_CELL = "padding:0.15em 0.8em;text-align:"


def fragment(report: Report) -> str:
    """Verdict, figures and warnings of a report.

    Nodes in float and notes are folded away.
    """
    return "".join(["<div>", *_parts(report), "</div>"])


def _parts(report: Report) -> Iterator[str]:
    yield _line(headline(report), f"font-weight:bold;{_BAD}" if report.verdict.bad else "font-weight:bold")
    runtime = " ".join(filter(None, (report.runtime, report.runtime_version)))
    title = f"{report.method} · {report.target} · recipe {report.recipe} · {runtime} · {report.host}"
    yield _line(f"{title}, {counted(report.threads, 'thread')}", _FAINT)
    yield f'<table style="{_TABLE}">'
    yield _row(("", "float", "int8", ""))
    yield from (_row((each.name, each.baseline, each.int8, each.change)) for each in figures(report))
    yield "</table>"
    yield from (_line(f"warning: {warning}", _BAD) for warning in report.warnings)
    nodes = report.coverage.float_nodes
    reasons = (f"{len(members)} × {reason}" for reason, members in grouped(nodes).items())
    yield from _folded(f"{counted(len(nodes), 'node')} in float", reasons)
    yield from _folded(counted(len(report.notes), "note"), report.notes)
    if report.output:
        yield _line(f"written: {report.output}", _FAINT)


def _line(text: str, style: str) -> str:
    return f'<div style="{style}">{escape(text)}</div>'


def _row(cells: tuple[str, str, str, str]) -> str:
    sides = ("left", "right", "right", "left")
    return (
        "<tr>"
        + "".join(
            f'<td style="{_CELL}{side}">{escape(cell)}</td>' for cell, side in zip(cells, sides, strict=True)
        )
        + "</tr>"
    )


def _folded(title: str, lines: Iterable[str]) -> Iterator[str]:
    told = [_line(line, _FAINT) for line in lines]
    if told:
        yield f"<details><summary>{escape(title)}</summary>{''.join(told)}</details>"
