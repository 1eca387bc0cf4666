"""Report as a self-contained web page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

import jinja2

from tinyint.diagnosis.sensitivity import Sensitivity
from tinyint.proof.report import Report
from tinyint.proof.verdict import Verdict
from tinyint.report.race import race_rows, race_title
from tinyint.report.unit_words import METHOD, signed_ms
from tinyint.report.unit_words import headline as sensitivity_headline
from tinyint.report.words import counted, decibels, figures, grouped, headline, number, percent

__all__ = ["sensitivity_to_html", "to_html"]


def sensitivity_to_html(found: Sensitivity, models: Mapping[str, str]) -> str:
    """HTML of a sensitivity, in the same form."""
    return _template("sensitivity.html").render(
        found=found, models=models, headline=sensitivity_headline(found), method=METHOD
    )


def to_html(report: Report) -> str:
    """HTML of the report: styles inside, no scripts, no links to other files."""
    return _template("report.html").render(
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
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=jinja2.FunctionLoader(_source)
    )
    environment.filters.update(
        percent=percent, number=number, counted=counted, decibels=decibels, signed_ms=signed_ms
    )
    return environment.get_template(name)


def _source(name: str) -> str:
    return (resources.files("tinyint.report") / name).read_text(encoding="utf-8")
