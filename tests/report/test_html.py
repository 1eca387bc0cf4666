# ruff: noqa: ARG002

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

from tests.proof.build import LAYERS, report
from tinyint.proof.layers import Bins, ChannelRanges
from tinyint.proof.light import RULES
from tinyint.proof.verify import OutputProof
from tinyint.report.html import to_html
from tinyint.report.words import figures


class Checker(HTMLParser):
    """Every element that is opened is closed, in order."""

    VOID = ("meta", "link", "br", "img", "hr", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_else():
    page = to_html(report(layers=LAYERS))
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    addresses = set(re.findall(r"https?://[^\"\s<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, which nothing is fetched from
    assert not re.search(r"<link|url\(|\bsrc=|\bimport\b|fetch\(", page)


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
    ):
        assert text in page, text
    good = replace(report().verification, outputs={"y": OutputProof(sqnr_db=30.0, constant_db=0.0)})  # type: ignore[type-var]
    assert '<li class="bad">' not in to_html(report(verification=good))
    slow = to_html(report(verification=good, int8_ms=9.0))
    assert "<h1>The int8 model is 2.25× slower" in slow
    assert re.search(r'<li class="bad"><div class="name">speed: <span class="finding">slower<', slow)
    assert re.search(r'<li class="good"><div class="name">accuracy: <span class="finding">good<', slow)


def test_the_light_comes_first_and_its_rule_is_stated():
    page = to_html(report(int8_ms=9.0))
    assert '<section class="verdict red">' in page
    assert "Red: do not ship it" in page
    assert "<li>int8 is slower than float</li>" in page
    for rule in RULES.values():
        assert rule in page
    assert page.index("do not ship it") < page.index("<h1>") < page.index("<h2>")


def test_steps_and_the_command_stand_with_the_recipe():
    made = report(
        steps=("equalize: nothing",), notes=("equalize: nothing", "else"), command="tinyint quantize a"
    )
    page = to_html(made)
    assert page.count("equalize: nothing") == 1
    assert "<pre>tinyint quantize a</pre>" in page
    assert "What each step did" in page
    assert made.to_json()["steps"] == ["equalize: nothing"]
    assert made.to_json()["command"] == "tinyint quantize a"


def test_the_page_holds_the_layers_as_the_document_does():
    made = report(layers=LAYERS)
    told = re.search(r'id="data">(.*?)</script>', to_html(made), re.DOTALL)
    assert told is not None
    rows = json.loads(told[1])["rows"]
    document = made.to_json()["layers"]
    assert [row["name"] for row in rows] == [row["name"] for row in document["rows"]]
    assert rows[1]["cumulative_db"] == document["rows"][1]["cumulative_db"] == 15.0
    assert document["tensors"]["x"]["clipped"] == 0.0123
    assert 'id="data"' not in to_html(report())


def test_a_large_network_makes_a_page_of_less_than_a_megabyte_and_a_half():
    many, channels = 600, tuple(i / 7 for i in range(96))
    ranges = ChannelRanges(lo=channels, hi=channels)
    weight = replace(LAYERS.weights["w"], limit=channels, after=ranges, before=None)
    tensor = replace(
        LAYERS.tensors["x"], bins=Bins(start=-2.0, width=0.1, counts=tuple(range(10**6, 10**6 + 64)))
    )
    rows = tuple(
        replace(LAYERS.rows[1], name=f"/stage/block.{i}/conv", detail="a cause " * 9) for i in range(many)
    )
    large = replace(
        LAYERS,
        rows=rows,
        tensors={f"/stage/{i}/tensor": tensor for i in range(many)},
        weights={f"/stage/{i}/weight": weight for i in range(many // 3)},
    )
    assert len(to_html(report(layers=large)).encode()) < 1.5e6


def test_a_report_without_proof_makes_a_page_too():
    page = to_html(report(latency=None, verification=None, peak_rss_bytes=None, output=None))
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
