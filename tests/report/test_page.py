"""The report's page in a browser: what a reader does with it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.proof.build import LAYERS, report
from tinyint.report.html import to_html

api = pytest.importorskip(
    "playwright.sync_api",
    reason="playwright, which drives the browser, is not installed: pip install playwright",
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here to show the page: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with api.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Reader:
    """A page that was opened, and whatever it complained of or asked the network for."""

    def __init__(self, browser, path: Path, **options) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def names(self) -> list[str]:
        return self.page.locator("#listing tbody tr td.name code").all_inner_texts()

    def sort(self, column: str) -> list[str]:
        self.page.get_by_role("button", name=column, exact=True).click()
        return self.names()

    def dialog(self) -> str:
        return self.page.locator("dialog").inner_text()


@pytest.fixture
def path(tmp_path) -> Path:
    place = tmp_path / "page.html"
    place.write_text(to_html(report(layers=LAYERS, command="tinyint quantize a.onnx -o b.onnx")))
    return place


@pytest.fixture
def reader(browser, path) -> Iterator[Reader]:
    found = Reader(browser, path, viewport={"width": 1280, "height": 900})
    yield found
    faults, requests = found.faults, found.requests
    found.context.close()
    assert faults == []
    assert requests == [path.as_uri()]


IN_ORDER = ["x", "/conv", "/a", "</script><b>"]


def test_layers_are_listed_in_order_and_sorted_on_demand(reader):
    assert reader.names() == IN_ORDER
    assert reader.sort("cumulative") == ["/conv", "/a", "x", "</script><b>"]
    assert reader.sort("cumulative") == ["x", "/a", "/conv", "</script><b>"]  # unknown stays last
    assert reader.page.locator('th[aria-sort="descending"]').inner_text().startswith("cumulative")
    assert reader.sort("change ms")[0] == "/conv"
    assert reader.sort("#") == IN_ORDER


def test_filters(reader):
    search, only = reader.page.locator("#search"), reader.page.locator("#only")
    search.fill("conv outlier")
    assert reader.names() == ["/conv"]
    assert reader.page.locator("#count").inner_text() == "1 of 4 layers"
    search.fill("nothing of this kind")
    assert reader.names() == []
    search.fill("")
    for choice, names in {
        "in float": ["/a"],
        "slower in int8": ["/a"],
        "with a cause of error": ["/conv"],
        "in int8": ["x", "/conv", "</script><b>"],
        "all layers": IN_ORDER,
    }.items():
        only.select_option(choice)
        assert reader.names() == names, choice


def test_opening_a_layer_shows_its_ranges_and_weights(reader):
    reader.page.locator("#listing tbody tr").nth(1).click()
    text = reader.dialog()
    assert "layer 2 of 4" in text
    assert "outlier: weight w: one is large" in text
    assert "2.00 ms in float, 1.00 ms in the int8 model" in text
    assert "Codes hold -1.28 to 1.27; calibration saw -2 to 1; clipped: 1.23 %" in text
    assert "takes all values below -3 for the same" in text
    assert "4 channels, 2 neighbouring ones in a bar" in text
    assert "Orange: before the repair steps" in text
    drawings = reader.page.locator("dialog svg")
    assert drawings.count() == 2
    assert drawings.nth(1).locator("rect.b-int8").count() == 3  # the bins of x, the empty one too
    assert drawings.nth(0).locator("rect.before").count() == 2
    reader.page.get_by_role("button", name="after →").click()
    assert "Sin has no int8 form" in reader.dialog()
    reader.page.keyboard.press("Escape")
    assert not reader.page.locator("dialog").is_visible()


def test_names_are_text(reader):
    assert reader.page.locator("b", has_text="x").count() == 0
    reader.page.locator("#listing tbody tr").nth(3).press("Enter")
    assert "</script><b>" in reader.dialog()


def test_the_plots_show_every_layer_and_open_them(reader):
    assert reader.page.locator("#errors circle").count() == 2  # x and /conv have a local error
    assert reader.page.locator("#errors .band").count() == 1
    assert reader.page.locator("#times .b-float").count() == 4
    assert reader.page.locator("#times .b-slow").count() == 1
    times = reader.page.locator("#times svg")
    box = times.bounding_box()
    times.hover(position={"x": box["width"] - 20, "y": 60})
    assert "Gemm in int8" in reader.page.locator("#times .tip").inner_text()
    times.click(position={"x": box["width"] - 20, "y": 60})
    assert "layer 4 of 4" in reader.dialog()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_within_its_width(browser, path, scheme):
    phone = Reader(browser, path, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert phone.page.evaluate("document.documentElement.scrollWidth") == 390
    background = phone.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    phone.page.locator("#listing tbody tr").nth(1).click()
    assert "Orange: before the repair steps" in phone.dialog()
    assert phone.faults == []
    phone.context.close()


def test_a_page_without_samples_and_times_has_the_table_alone(browser, tmp_path):
    rows = tuple(replace(row, float_ms=None, int8_ms=None) for row in LAYERS.rows)
    bare = replace(LAYERS, rows=rows, samples=0, runtime="", other_ms=None)
    place = tmp_path / "bare.html"
    place.write_text(to_html(report(layers=bare)))
    found = Reader(browser, place)
    assert found.names() == IN_ORDER
    assert found.page.locator("svg").count() == 0
    assert "float ms" not in found.page.locator("#listing thead").inner_text()
    assert found.faults == []
    found.context.close()
