"""The tester in C++, built against the openvino package: the figures of `tinyint bench` in another language."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import tinyint
from tests.data.datafile.build import boxes, images, source, write
from tests.graph.build import build
from tinyint.data import Preprocessing
from tinyint.data.datafile.layout import HEADER_BYTES
from tinyint.graph.io import save_model

SOURCES = Path(__file__).parents[2] / "deploy" / "cpp"
DECLARED = Preprocessing(resize=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.3, 0.2, 0.1), color="BGR")
COUNT = 60


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = find_spec("openvino")
    if found is None or found.origin is None:
        pytest.skip("needs OpenVINO")
    config = Path(found.origin).parent / "cmake"
    if not config.is_dir():
        pytest.skip("needs OpenVINO's headers, which this package of it lacks")
    if shutil.which("cmake") is None or not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("needs cmake and a C++ compiler")
    place = tmp_path_factory.mktemp("built")
    for command in (
        ["cmake", "-S", SOURCES, "-B", place, f"-DOpenVINO_DIR={config}", "-DCMAKE_BUILD_TYPE=Release"],
        ["cmake", "--build", place],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning:" not in done.stderr + done.stdout
    return place / "tinyint-tester"


def network(layout: str) -> ir.Model:
    """Seven classes, by random weights."""
    rng = np.random.default_rng(3)
    first = "a = Identity (x)" if layout == "NCHW" else "a = Transpose <perm = [0, 3, 1, 2]> (x)"
    axes = "3,8,8" if layout == "NCHW" else "8,8,3"
    return build(
        f"""
        g (float[N,{axes}] x) => (float[N,7] y) {{
          {first}  b = Conv <pads = [1, 1, 1, 1]> (a, w)  c = Relu (b)  d = GlobalAveragePool (c)
          e = Flatten (d)  y = Gemm (e, v)
        }}
        """,
        w=rng.standard_normal((16, 3, 3, 3)).astype(np.float32),
        v=rng.standard_normal((16, 7)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data file and a model of each layout and type; the int8 model of the first, and one that takes pixels."""
    root = tmp_path_factory.mktemp("data")
    paths = images(root / "in", COUNT, size=(11, 9))
    for layout in ("NCHW", "NHWC"):
        declared = DECLARED.changed(layout=layout)
        save_model(network(layout), root / f"{layout}.onnx")
        for values in ("uint8", "float32"):
            write(source(paths, lambda i: i % 7, declared), root / f"{layout}.{values}.bin", values)
    for name, recipe in {"int8": "default", "pixels": {"fold_preprocessing": True}}.items():
        tinyint.quantize(
            root / "NCHW.onnx",
            tinyint.Samples(root / "NCHW.uint8.bin", preprocessing=DECLARED),
            output=root / f"{name}.onnx",
            recipe=recipe,
            target="openvino",
            run=tinyint.Run(verify=False),
        )
    crop = DECLARED.changed(crop=(8, 8), resize=None)
    tinyint.quantize(
        root / "NCHW.onnx",
        tinyint.Samples(root / "in", preprocessing=crop),
        output=root / "resizing.onnx",
        recipe={"fold_preprocessing": "resize"},
        target="x86-vnni",  # no target of OpenVINO's resizes
        run=tinyint.Run(verify=False),
    )
    return root


@pytest.fixture(autouse=True)
def _there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)


def run(tester: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    words = [str(tester), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def document(tester: Path, *arguments: object) -> Any:
    return json.loads(run(tester, *arguments, "--json").stdout)


@pytest.mark.parametrize(
    ("models", "values"),
    [
        (("NCHW", "int8"), "uint8"),
        (("NCHW", "int8"), "float32"),
        (("pixels",), "uint8"),
        (("NHWC",), "uint8"),
        (("NHWC",), "float32"),
    ],
)
def test_the_figures_are_pythons(tester: Path, models: tuple[str, ...], values: str):
    layout = "NHWC" if "NHWC" in models else "NCHW"
    data, names = f"{layout}.{values}.bin", [f"{name}.onnx" for name in models]
    words = ("--batch-size", 16, "--warmup", 1, "--threads", 1, "--with-accuracy", "--profile")
    found = document(tester, *names, "--data", data, *words)
    ours = tinyint.benchmark(
        names,
        data,
        runtimes=["openvino"],
        measure=tinyint.Measurement(warmup=1, accuracy=True, profile=True),
        run=tinyint.Run(threads=1, batch_size=16, notice=lambda _: None),
    )
    for row, mine in zip(found["results"], ours, strict=True):
        assert row.keys() == vars(mine).keys()
        assert row["metrics"] == {key: (mine.metrics or {})[key] for key in ("top1", "top5")}
        for key in (
            "model",
            "runtime",
            "precision",
            "threads",
            "batch_size",
            "iterations",
            "task",
            "samples",
        ):
            assert row[key] == getattr(mine, key)
        assert (row["samples"], row["iterations"]) == (COUNT, 3)  # the last batch is of 12
        assert row["min_ms"] <= row["median_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["max_ms"]
        theirs = {(layer["op"], layer["precision"]) for layer in row["layers"]}
        differ = theirs ^ {(layer.op, layer.precision) for layer in mine.layers or ()}
        assert {op for op, _ in differ} <= {"Reshape"}  # executed, says OpenVINO, is what took a microsecond
    assert 0 < found["results"][0]["metrics"]["top1"] < 0.5  # by chance: not what any file would give


def test_the_first_calls_without_accuracy(tester: Path):
    (row,) = document(tester, "NCHW.onnx", "--data", "NCHW.uint8.bin", "--iterations", 4, "--batch-size", 5)[
        "results"
    ]
    assert (row["iterations"], row["samples"], row["metrics"], row["layers"]) == (4, 20, None, None)


def test_in_words(tester: Path):
    words = ("--threads", 1, "--with-accuracy", "--profile")
    told = run(tester, "NCHW.onnx", "int8.onnx", "--data", "NCHW.uint8.bin", *words).stdout
    for text in (
        "1 thread, batch 1, 60 calls each",
        "99 %",
        "classification: 60 samples",
        "top5",
        "int8",
        "float32",
    ):
        assert text in told


def altered(offset: int) -> bytes:
    content = bytearray(Path("NCHW.uint8.bin").read_bytes())
    content[offset] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("arguments", "content", "told"),
    [
        (("NCHW.onnx",), None, "a model and --data are needed"),
        (("NCHW.onnx", "--data"), None, "--data needs a value"),
        (("NCHW.onnx", "--data", "d.bin", "--batch", "3"), None, "there is no option --batch"),
        (("NCHW.onnx", "--data", "d.bin", "--threads", "0"), None, "expected a whole number from 1"),
        (("NCHW.onnx", "--data", "gone.bin"), None, "cannot read gone.bin"),
        (("gone.onnx", "--data", "d.bin"), lambda: altered(0), "is no data file"),
        (("NCHW.onnx", "--data", "d.bin"), lambda: altered(8), "byte 8: a data file of version 0"),
        (("NCHW.onnx", "--data", "d.bin"), lambda: altered(40), "altered between bytes 16 and 255"),
        (("NCHW.onnx", "--data", "d.bin"), lambda: altered(HEADER_BYTES + 5), "bytes 256 and 455, in sample 0"),
        (("NCHW.onnx", "--data", "d.bin"), lambda: altered(HEADER_BYTES + 60 * 200 + 3), "in its values"),
        (("NCHW.onnx", "--data", "d.bin"), lambda: altered(300)[:-1], "truncated: it ends at"),
        (("NHWC.onnx", "--data", "NCHW.uint8.bin"), None, "but the input of NHWC.onnx is f32 [?,8,8,3]"),
        (("resizing.onnx", "--data", "NCHW.uint8.bin"), None, "resizing.onnx resizes images itself"),
        (("pixels.onnx", "--data", "NCHW.float32.bin"), None, "float32 [?,3,8,8], but the input of pixels.onnx is u8"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(tester: Path, arguments: Any, content: Any, told: str):
    Path("d.bin").write_bytes(Path("NCHW.uint8.bin").read_bytes() if content is None else content())
    done = run(tester, *arguments, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert told in done.stderr


def test_labels_that_are_no_classes(tester: Path, tmp_path: Path):
    write(source(images(tmp_path / "in", 2), boxes, DECLARED), tmp_path / "boxes.bin")
    write(source(images(tmp_path / "in", 2), lambda _: None, DECLARED), tmp_path / "none.bin")
    write(source(images(tmp_path / "in", 2), lambda _: 7, DECLARED), tmp_path / "many.bin")
    for name, told in (("boxes", "judges class numbers"), ("none", "has no labels"), ("many", "the label 7")):
        done = run(tester, "NCHW.onnx", "--data", tmp_path / f"{name}.bin", "--with-accuracy", code=2)
        assert told in done.stderr
