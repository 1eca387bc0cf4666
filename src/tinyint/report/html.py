"""Report as a self-contained web page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources

import jinja2

from tinyint.proof.report import Report
from tinyint.proof.verdict import Verdict
from tinyint.report.race import race_rows, race_title
from tinyint.report.words import counted, figures, grouped, headline, number, percent

__all__ = ["to_html"]


def to_html(report: Report) -> str:
    """HTML of the report: styles inside, no scripts, no links to other files."""
    return _template().render(
        report=report,
        headline=headline(report),
        marks=list(_marks(report.verdict)),
        figures=list(figures(report)),
        race=None if report.race is None else list(race_rows(report.race)),
        race_title=None if report.race is None else race_title(report.race),
        groups=grouped(report.coverage.float_nodes),
    )


_GOOD = {"good", "faster", "smaller"}
_BAD = {"broken", "doubtful", "slower", "larger"}


def _marks(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    """Parts of the verdict: name, finding, and "good", "bad" or ""."""
    parts = (("accuracy", verdict.accuracy), ("speed", verdict.speed), ("size", verdict.size))
    for name, finding in parts:
        yield name, finding, "good" if finding in _GOOD else "bad" if finding in _BAD else ""


@cache
def _template() -> jinja2.Template:
    source = (resources.files("tinyint.report") / "report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, number=number, counted=counted)
    return environment.from_string(source)
