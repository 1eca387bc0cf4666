"""The report as one page that needs nothing else."""

from __future__ import annotations

from functools import cache
from importlib import resources

import jinja2

from tinyint.report.report import Report
from tinyint.report.words import counted, figures, grouped, headline, number, percent

__all__ = ["to_html"]


def to_html(report: Report) -> str:
    """A self-contained page: styles inside, no scripts, no addresses."""
    return _template().render(
        report=report,
        headline=headline(report),
        figures=list(figures(report)),
        groups=grouped(report.coverage.float_nodes),
    )


@cache
def _template() -> jinja2.Template:
    source = (resources.files("tinyint.report") / "report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, number=number, counted=counted)
    return environment.from_string(source)
