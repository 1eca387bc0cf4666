"""`tinyint quantize --max-drop` and `tinyint compare --sensitivity`, as users run them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyint.cli.budget_options import seconds
from tinyint.errors import TinyintError

Run = Callable[..., Any]
QUANTIZE = (
    "quantize",
    "float.onnx",
    "-o",
    "out.onnx",
    "--data",
    "calib.npy",
    "--samples",
    "6",
    "--threads",
    "1",
)


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0)]
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["ten", "10 days", "-5", ""])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(TinyintError, match="such as 10m"):
        seconds(text)


def test_the_goal_decides_the_exit_code(here: Path, document: Run) -> None:
    met = document(*QUANTIZE, "--max-drop", "1", "--metric", "sqnr")
    assert met["budget"]["met"]
    assert met["budget"]["in_float"] == []
    assert met["budget"]["value"] > 1.0
    missed = document(*QUANTIZE, "--max-drop", "150", "--metric", "sqnr", "--time", "5m", code=3)
    assert not missed["budget"]["met"]
    assert (here / "out.onnx").exists()
    assert json.loads((here / "out.report.json").read_text())["notes"] == missed["notes"]


def test_options_without_a_budget_are_refused(here: Path, run: Run) -> None:
    for option, value in (("--metric", "sqnr"), ("--time", "10m")):
        result = run(*QUANTIZE, option, value)
        assert result.exit_code == 2
        assert f"{option} {value} has no effect without --max-drop" in result.output
    result = run(*QUANTIZE, "--max-drop", "1", "--metric", "sqnr", "--race")
    assert (result.exit_code, "leave out --max-drop or --race" in result.output) == (2, True)
    result = run("compare", "float.onnx", "out.onnx", "--data", "calib.npy", "-o", "page")
    assert result.exit_code == 2
    assert "--output page has no effect without --sensitivity" in result.output
    assert sorted(path.name for path in here.iterdir()) == ["calib.npy", "float.onnx"]


def test_sensitivity_on_the_screen_and_on_disk(here: Path, run: Run, document: Run) -> None:
    assert run(*QUANTIZE, "--no-verify").exit_code == 0
    command = ("compare", "float.onnx", "out.onnx", "--data", "calib.npy", "--sensitivity", "--threads", "1")
    shown = document(*command, "-o", "page")
    assert {row["name"] for row in shown["rows"]} >= {"conv1", "conv2", "conv3", "fc"}
    assert shown["rows"] == sorted(shown["rows"], key=lambda row: row["output_db"])
    assert shown["samples"] == 12
    assert all(row["in_float_ms"] is not None for row in shown["rows"])
    written = json.loads((here / "page.json").read_text())
    assert {row["name"] for row in written["rows"]} == {row["name"] for row in shown["rows"]}
    page = (here / "page.html").read_text()
    assert "conv2" in page
    assert "<script" not in page
    overlay = json.loads((here / "page.error.json").read_text())
    nodes = {node for row in shown["rows"] for node in row["nodes"]}
    assert overlay["results"].keys() == nodes
    assert {"conv1", "relu1"} <= nodes
    assert overlay["gradient"][0]["stop"] == 0
    assert json.loads((here / "page.cost.json").read_text())["results"].keys() == nodes
    text = run(*command)
    assert text.exit_code == 0
    assert "of all noise" in text.output


def test_labels_give_the_metrics_of_each_unit(here: Path, run: Run, document: Run) -> None:
    assert run(*QUANTIZE, "--no-verify").exit_code == 0
    np.savez(here / "val.npz", x=np.load(here / "calib.npy"), labels=np.arange(12) % 10)
    command = ("compare", "float.onnx", "out.onnx", "--data", "val.npz", "--sensitivity", "--samples", "5")
    shown = document(*command)
    assert shown["samples"] == 5
    assert set(shown["metrics"]) == set(shown["rows"][0]["metrics"]) >= {"top1", "f1"}
    np.savez(here / "val.npz", x=np.load(here / "calib.npy"), labels=np.arange(12) + 90)
    result = run(*command)
    assert result.exit_code == 0
    assert "metrics are left out" in result.output
    result = run(*command, "--task", "classification")
    assert result.exit_code == 2
    assert "the model has the classes 0 to 9" in result.output
