"""The report in a notebook."""

import re
from dataclasses import replace

import pytest

import tinyint
from tests.proof.build import report
from tests.report.test_html import Checker
from tinyint.report.words import figures, headline


@pytest.fixture
def page() -> str:
    return report()._repr_html_()


def test_the_fragment_is_well_formed_and_touches_nothing_else(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert not re.search(r"https?://|<(script|link|style|html|head|body)|url\(|\b(class|id)=", page)
    assert len(page) < 8000


def test_it_says_what_the_report_says(page):
    made = report()
    told = re.sub(r"<[^>]+>", " ", page)
    for text in (
        headline(made).split("'")[0],
        "warning: look here",
        "by the way",
        "written: out.onnx",
        "3 nodes in float",
    ):
        assert text in told
    for figure in figures(made):
        assert figure.name.replace(">", "&gt;") in told
        assert figure.int8 in told
    assert "2 × Sin has no int8 form" in told


def test_a_bad_verdict_is_red_and_names_cannot_break_it(page):
    assert page.startswith('<div><div style="font-weight:bold;color:#c62828">')
    good = report(verification=None, warnings=())
    assert not good.verdict.bad
    assert "#c62828" not in good._repr_html_()
    odd = report(notes=("<script>alert(1)</script>",), source="<b>")._repr_html_()
    assert "<script>" not in odd
    assert "&lt;script&gt;" in odd


def test_what_is_not_there_is_not_shown():
    made = report()
    bare = replace(made, coverage=replace(made.coverage, float_nodes=()), notes=(), output=None)._repr_html_()
    assert "<details>" not in bare
    assert "written" not in bare


def test_a_result_is_shown_by_its_report():
    made = report()
    assert tinyint.Result(model=None, report=made, record=None, path=None)._repr_html_() == made._repr_html_()
