"""Paths that the system refuses to look at, and names that are not text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.data.build import save_image
from tests.tasks import build as tasks

Document = Callable[..., Any]
LONG = "a" * 300
MODEL, DATA = "classifier.onnx", "images"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tasks.saved(tasks.classifier(), tmp_path / MODEL)
    tasks.class_folders(tmp_path / DATA)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(model: str, data: str, output: str) -> list[tuple[str, ...]]:
    """One of the three is such that the command can't do its work."""
    return [
        ("quantize", model, "--data", data, "-o", output),
        ("quantize", MODEL, "--data", DATA, "-o", "out.onnx", "--recipe", f"{output}.yaml"),
        ("quantize", MODEL, "-o", "out.onnx", "--calibration", output),
        ("quantize", MODEL, "--data", DATA, "-o", "out.onnx", "--preprocessing", output),
        ("calibrate", model, "--data", data, "-o", output),
        ("evaluate", model, "--data", data, "--against", output),
        ("compare", model, output, "--data", data),
        ("predict", model, "--input", data, "-o", output),
        ("preprocess", "--data", data, "--size", "8", "-o", output),
        ("export", model, "-o", output, "--task", "classification"),
        ("data", "make", "glyphs", output, "--train", "1", "--val", "1"),
    ]


@pytest.mark.parametrize(
    "arguments", commands(MODEL, DATA, LONG), ids=lambda arguments: " ".join(arguments)[:40]
)
def test_a_name_that_is_too_long_is_told(arguments: tuple[str, ...], document: Document) -> None:
    assert "a fault in tinyint" not in document(*arguments, code=2)["error"]


@pytest.mark.parametrize("command", ["inspect", "bench", "advise", "evaluate", "predict", "quantize"])
def test_a_model_or_data_of_such_a_name(command: str, document: Document) -> None:
    needed = {
        "advise": ("--data", DATA),
        "evaluate": ("--data", DATA),
        "predict": ("--input", DATA, "-o", "seen"),
        "quantize": ("--data", DATA, "-o", "out.onnx"),
    }.get(command, ())
    told = document(command, LONG, *needed, code=2)["error"]
    assert "File name too long" in told or "no such" in told
    if needed:
        spoiled = [LONG if part == DATA else part for part in needed]
        assert "do not exist" in document(command, MODEL, *spoiled, code=2)["error"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may enter any directory")
def test_a_closed_directory_is_told(document: Document) -> None:
    shutil.copytree(DATA, "closed/images")
    shutil.copy(MODEL, "closed")
    Path("closed").chmod(0)
    try:
        for arguments in commands(f"closed/{MODEL}", "closed/images", "closed/out"):
            told = document(*arguments, code=2)["error"]
            assert "Permission denied" in told or "closed" in told
    finally:
        Path("closed").chmod(0o700)


BAD = os.fsdecode(b"caf\xe9")


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_images_and_classes_whose_names_are_not_utf_8(document: Document, run: Run) -> None:
    for name in (f"{BAD}/{BAD}.png", f"{BAD}/b.png", "tea/a.png"):
        save_image(Path("old", name), size=(64, 64))
    document("calibrate", MODEL, "--data", "old", "-o", "record.npz", "--samples", "3")
    document("quantize", MODEL, "--data", "old", "-o", "out.onnx", "--samples", "2")
    assert document("evaluate", "out.onnx", "--data", "old")["samples"] == 3
    document("preprocess", "--data", "old", "--model", MODEL, "-o", f"{BAD}.bin")
    assert document("evaluate", "out.onnx", "--data", f"{BAD}.bin")["samples"] == 3
    document("predict", MODEL, "--input", "old", "-o", "seen")
    rows = json.loads(Path("seen/predictions.json").read_text(encoding="utf-8"))
    assert f"{BAD}/{BAD}.png" in [row["file_name"] for row in rows]
    assert all(Path("seen", row["picture"]).is_file() for row in rows)
    shutil.copy(f"old/{BAD}/{BAD}.png", f"old/tea/{BAD}.png")
    Path(f"old/tea/{BAD}.png").write_bytes(b"no image")
    assert "\\udce9.png" in run("evaluate", MODEL, "--data", "old").stderr
    skipped = document("evaluate", MODEL, "--data", "old", "--on-error", "skip")["notices"]
    assert any(f"{BAD}.png" in notice for notice in skipped)
    np.save(f"{BAD}.npy", np.zeros((2, 3, 64, 64), np.float32))
    document("calibrate", MODEL, "--data", f"{BAD}.npy", "-o", f"{BAD}.npz")


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_model_whose_name_is_not_utf_8_is_told_to_be_renamed(document: Document) -> None:
    shutil.copy(MODEL, f"{BAD}.onnx")
    for arguments in (
        ("inspect",),
        ("bench",),
        ("evaluate", "--data", DATA),
        ("quantize", "-o", "o.onnx", "--data", DATA),
    ):
        told = document(arguments[0], f"{BAD}.onnx", *arguments[1:], code=2)["error"]
        assert "is not UTF-8" in told
    assert (
        "is not UTF-8" in document("quantize", MODEL, "-o", f"{BAD}.q.onnx", "--data", DATA, code=2)["error"]
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_names_come_out_as_the_bytes_that_they_are() -> None:
    save_image(Path("old", f"{BAD}.png"), size=(64, 64))
    command = [
        sys.executable,
        "-m",
        "tinyint.cli",
        "predict",
        MODEL,
        "--input",
        f"old/{BAD}.png",
        "-o",
        f"seen-{BAD}",
    ]
    for options in ([], ["--json"]):
        done = subprocess.run([*command, *options], capture_output=True, check=True)
    assert json.loads(done.stdout)["output"] == f"seen-{BAD}"


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_is_no_file(document: Document) -> None:
    os.mkfifo("images/0_red/pipe.png")
    os.mkfifo("pipe.onnx")
    assert "pipe.png" in document("evaluate", MODEL, "--data", DATA, code=2)["error"]
    assert "pipe" in document("inspect", "pipe.onnx", code=2)["error"]
    for kind in ("npz", "txt", "json", "tsv", "png"):
        os.mkfifo(f"pipe.{kind}")
        assert f"pipe.{kind}" in document("evaluate", MODEL, "--data", f"pipe.{kind}", code=2)["error"]
