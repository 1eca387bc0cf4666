"""`tinyint bench` over data: speed, accuracy and layers in one pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyint
from tests.models import residual
from tests.tasks import build as tasks
from tests.tasks.build import DATA
from tinyint.graph.io import save_model

Document = Callable[..., Any]
METRICS = {"classification": "top1", "segmentation": "miou", "detection": "AP"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a data file, and a float and an int8 model of each task."""
    root = tmp_path_factory.mktemp("bench")
    for task, source in tasks.every_task(root).items():
        tinyint.preprocess(root / DATA[task], root / f"{task}.bin", model=source)
        tinyint.quantize(
            source, root / f"{task}.bin", output=root / f"{task}.int8.onnx", run=tinyint.Run(verify=False)
        )
    save_model(residual(), root / "float.onnx")
    return root


@pytest.fixture(autouse=True)
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.mark.parametrize("task", DATA)
def test_the_metrics_are_those_of_evaluate(document: Document, task: str):
    models = (f"{task}.onnx", f"{task}.int8.onnx")
    options = ("--batch-size", "3", "--warmup", "1", "--iterations", "0", "--threads", "1", "--with-accuracy")
    found = document("bench", *models, "--data", f"{task}.bin", *options)
    assert found["notices"] == []
    assert [row["model"] for row in found["results"]] == list(models)
    for model, row in zip(models, found["results"], strict=True):
        alone = document("evaluate", model, "--data", DATA[task])
        assert row["metrics"] == alone["metrics"]
        assert METRICS[task] in row["metrics"]
        assert (row["task"], row["samples"]) == (task, alone["samples"])
        assert row["batch_size"] == 3
        assert row["iterations"] == alone["samples"] // 3
        assert row["min_ms"] <= row["median_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert row["layers"] is None


def test_in_words(run: Document):
    options = ("--iterations", "1", "--with-accuracy", "--profile", "--threads", "1", "--batch-size", "2")
    told = run("bench", "classification.onnx", "--data", "classification.bin", *options).stdout
    for text in (
        "99 % ms",
        "classification: 2 samples",
        "top1",
        "onnxruntime:",
        "precision",
        "GlobalAveragePool",
    ):
        assert text in " ".join(told.split())


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("data", [(), ("--data", "classification.bin")])
def test_layers_with_their_precision(document: Document, runtime: str, data: tuple[str, ...]):
    models = ("classification.onnx", "classification.int8.onnx")
    found = document("bench", *models, "--runtime", runtime, "--iterations", "2", "--profile", *data)
    for row, precision in zip(found["results"], ("float32", "int8"), strict=True):
        (conv,) = [layer for layer in row["layers"] if "Conv" in layer["op"] and layer["op"] != "Convert"]
        assert conv["precision"] == precision
        assert conv["ms"] >= 0
    assert found["results"][0]["metrics"] is None


def test_what_the_user_should_know(document: Document):
    options = ("--iterations", "50", "--batch-size", "50", "--warmup", "0")
    found = document("bench", "classification.onnx", "--data", "images", *options)
    told = " ".join(found["notices"])
    assert "images are decoded while the models run" in told
    assert "batches of 50 were asked for; by the model or the data, they are of 12" in told
    assert "50 iterations were asked for; the data are enough for 1" in told
    assert found["results"][0]["samples"] == 12


def test_unlabelled_values_do_for_the_speed(document: Document):
    np.save("values.npy", np.zeros((5, 3, 16, 16), np.float32))
    (row,) = document("bench", "float.onnx", "--data", "values.npy", "--iterations", "3")["results"]
    assert (row["iterations"], row["samples"], row["metrics"]) == (3, 3, None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("classification.onnx", "--with-accuracy"), "the accuracy needs data with labels: give --data"),
        (("classification.onnx", "--iterations", "0"), "0 iterations stand for all of the data"),
        (("classification.onnx", "--data", "gone.bin"), "gone.bin"),
        (
            ("classification.onnx", "--data", "images", "--shape", "x=1,3,64,64"),
            "--shape is for random inputs",
        ),
        (
            ("classification.onnx", "--data", "segmentation.bin", "--with-accuracy"),
            "is labelled with label images",
        ),
        (("float.onnx", "--data", "classification.bin"), "but input 'x' is float32 [?, 3, 16, 16]"),
        (("classification.onnx", "float.onnx", "--data", "images"), "must take the same inputs"),
        (
            ("float.onnx", "--data", "values.npy", "--with-accuracy", "--task", "clasification"),
            "'classification'",
        ),
        (("float.onnx", "--data", "values.npy", "--with-accuracy"), "has no label"),
    ],
)
def test_bad_input_is_one_clear_error(document: Document, arguments: tuple[str, ...], told: str):
    np.save("values.npy", np.zeros((5, 3, 16, 16), np.float32))
    assert told in document("bench", *arguments, code=2)["error"]


def test_in_python_notices_are_warnings():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        measure = tinyint.Measurement(warmup=0, accuracy=True)
        (found,) = tinyint.benchmark(["classification.onnx"], "images", measure=measure)
    assert found.metrics is not None
    assert found.metrics["top1"] == 1.0
    assert [issubclass(each.category, tinyint.TinyintWarning) for each in caught] == [True]
