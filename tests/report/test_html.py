# ruff: noqa: ARG002

import re
from dataclasses import replace
from html.parser import HTMLParser

from tests.proof.build import report
from tinyint.proof.verify import OutputProof
from tinyint.report.html import to_html
from tinyint.report.words import figures


class Checker(HTMLParser):
    """Every element that is opened is closed, in order."""

    VOID = ("meta", "link", "br", "img", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_else():
    page = to_html(report())
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert not re.search(r"https?://|<script|<link|url\(", page)


def test_names_cannot_break_the_page():
    page = to_html(report())
    assert "&lt;script&gt;" in page
    assert "a &amp; b" in page


def test_the_page_says_what_matters():
    page = to_html(report())
    for text in (
        "2.00× as fast",
        "4.0× smaller",
        "75.0%",
        "width: 75.0%",
        "look here",
        "by the way",
        "0.01 … 0.2",
    ):
        assert text in page, text
    good = replace(report().verification, outputs={"y": OutputProof(sqnr_db=30.0, constant_db=0.0)})  # type: ignore[type-var]
    assert '"bad"' not in to_html(report(verification=good))
    slow = to_html(report(verification=good, int8_ms=9.0))
    assert '<h1 class="bad">The int8 model is 2.25× slower' in slow
    assert '<li class="bad">speed: slower</li>' in slow
    assert '<li class="good">accuracy: good</li>' in slow


def test_a_report_without_proof_makes_a_page_too():
    page = to_html(report(latency=None, verification=None, tensors=(), peak_rss_bytes=None, output=None))
    assert "Its speed was not measured" in page
    assert "in memory" in page


def test_names_in_tables_stay_in_one_line_and_the_table_scrolls_where_the_screen_is_narrow():
    page = to_html(report())
    assert re.search(r"td code \{[^}]*white-space: nowrap", page)
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", page)
    assert page.count("<table>") == page.count('<div class="scroll"><table>') > 0


def test_a_share_that_is_not_known_is_said_to_be_unknown():
    known = report()
    unknown = replace(known, coverage=replace(known.coverage, macs_int8=None, macs_planned=None))
    assert {f.name: f.int8 for f in figures(unknown)}["multiply-adds in int8"] == "unknown"
    assert "An unknown share of the multiply-adds" in to_html(unknown)
    assert unknown.to_json()["coverage"]["macs_int8"] is None
