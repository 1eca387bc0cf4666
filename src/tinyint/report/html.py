"""Report as a self-contained web page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from tinyint.diagnosis.sensitivity import Sensitivity
from tinyint.proof.light import ADVICE, RULES
from tinyint.proof.report import Report
from tinyint.report.layer_data import layer_data, time_caption
from tinyint.report.race import race_rows, race_title
from tinyint.report.tiles import tiles
from tinyint.report.unit_words import METHOD, signed_ms
from tinyint.report.unit_words import headline as sensitivity_headline
from tinyint.report.words import counted, decibels, figures, grouped, headline, percent

__all__ = ["sensitivity_to_html", "to_html"]


def sensitivity_to_html(found: Sensitivity, models: Mapping[str, str]) -> str:
    """HTML of a sensitivity, in the same form."""
    return _template("sensitivity.html").render(
        found=found, models=models, headline=sensitivity_headline(found), method=METHOD
    )


def to_html(report: Report) -> str:
    """HTML of the report: styles, script and data inside, no links to other files."""
    layers = report.layers
    restless = report.latency is not None and report.latency.restless
    return _template("report.html").render(
        report=report,
        headline=headline(report),
        light=report.light,
        rules=RULES,
        advice=ADVICE,
        tiles=list(tiles(report)),
        figures=list(figures(report)),
        race=None if report.race is None else list(race_rows(report.race)),
        race_title=None if report.race is None else race_title(report.race),
        groups=grouped(report.coverage.float_nodes),
        layers=layers,
        time_caption="" if layers is None else time_caption(layers, restless=restless),
        data="" if layers is None else Markup(layer_data(layers)),  # noqa: S704
        script=_whole("drawing.js", "page.js"),
    )


@cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=jinja2.FunctionLoader(_source)
    )
    environment.filters.update(percent=percent, counted=counted, decibels=decibels, signed_ms=signed_ms)
    environment.globals["style"] = _whole("page.css")
    return environment.get_template(name)


def _whole(*names: str) -> Markup:
    """Files of this package as they are."""
    return Markup("\n".join(map(_source, names)))  # noqa: S704


def _source(name: str) -> str:
    return (resources.files("tinyint.report") / name).read_text(encoding="utf-8")
