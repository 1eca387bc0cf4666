"""Each family through the commands: train, quantize, QAT, evaluate, export, predict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.workflows.conftest import Way, tinyint
from tinyint.data import saved_preprocessing
from tinyint.extras.synthetic import FAMILIES
from tinyint.graph.io import load_model
from tinyint.runtimes import get_runtime
from tinyint.tasks import task_of

WRITTEN = ("{}-float/best_model/model.onnx", "int8.onnx", "{}-qat/best_model/model.onnx", "deploy.onnx")

LEARNED = {"classification": 0.8, "detection": 0.8, "segmentation": 0.2}  # of 19 classes


def test_the_network_has_learned(way: Way) -> None:
    """Else the comparisons below would compare nothing."""
    assert way.said["train"]["best"]["metrics"][way.toy.metric] > LEARNED[way.toy.task]


def test_module_file_and_int8_are_as_good(way: Way) -> None:
    """The trainer measured the torch module; evaluate measures its ONNX file, and what was quantized."""
    metric, found = way.toy.metric, way.said["evaluate"]
    trained = way.said["train"]["best"]["metrics"][metric]
    assert found["task"] == way.toy.task
    assert found["notices"] == []
    assert found["against"]["metrics"][metric] == pytest.approx(trained, abs=0.002)
    assert found["metrics"][metric] == pytest.approx(trained, abs=0.1)
    judged = found["against"]["differences"][metric]
    assert judged["low"] <= judged["value"] <= judged["high"]
    assert judged["value"] == pytest.approx(found["metrics"][metric] - found["against"]["metrics"][metric])


def test_qat_gives_what_it_measured(way: Way) -> None:
    metric, proof = way.toy.metric, way.said["qat"]["proof"]
    trained = way.said["qat"]["best"]["metrics"][metric]
    assert trained > LEARNED[way.toy.task]
    assert way.said["evaluate qat"]["metrics"][metric] == pytest.approx(trained, abs=0.02)
    assert proof["within_1_lsb"] > 0.9


def test_all_arithmetic_with_weights_is_in_int8(way: Way) -> None:
    coverage = way.said["quantize"]["coverage"]
    assert coverage["measured"]
    assert coverage["macs_int8"] == pytest.approx(1.0)
    name = WRITTEN[2].format(way.toy.family)
    count = sum(node.int8 for node in get_runtime("onnxruntime").executed(Path(name)))
    assert way.said["export"]["int8_nodes"] >= count > 5


def test_files_say_what_they_are_for(way: Way) -> None:
    declared = None
    for name in WRITTEN:
        facts = load_model(name.format(way.toy.family)).metadata_props
        task = task_of(facts)
        assert task is not None
        assert (task.task, task.classes) == (way.toy.task, FAMILIES[way.toy.family].classes)
        found = saved_preprocessing(facts)
        assert found is not None
        assert found == (declared or found)
        declared = found


def test_the_exported_model_is_as_good(way: Way) -> None:
    """Within what suppression, which is part of it now, and ties make of it."""
    before, after = way.said["evaluate qat"], way.said["evaluate export"]
    assert after["metrics"][way.toy.metric] == pytest.approx(before["metrics"][way.toy.metric], abs=0.005)


def test_predictions(way: Way) -> None:
    said, rows = way.said["predict"], json.loads(Path("seen/predictions.json").read_text(encoding="utf-8"))
    assert (said["task"], said["samples"]) == (way.toy.task, way.toy.samples)
    pictures = [path for path in Path("seen").rglob("*.png") if not path.name.endswith(".mask.png")]
    assert len(pictures) == said["pictures"] == (0 if way.toy.family == "sentences" else way.toy.samples)
    checks = {"classification": check_classes, "detection": check_boxes, "segmentation": check_masks}
    checks[way.toy.task](way, rows)


def check_classes(way: Way, rows: list[dict[str, Any]]) -> None:
    names = FAMILIES[way.toy.family].classes
    assert len(rows) == way.toy.samples
    assert all(row["name"] == names[row["class"]] for row in rows)
    if way.toy.family == "glyphs":
        right = np.mean([Path(row["file_name"]).parts[0] == row["name"] for row in rows])
        assert right == pytest.approx(way.said["evaluate export"]["metrics"]["top1"])


def check_boxes(way: Way, rows: list[dict[str, Any]]) -> None:
    annotated = json.loads(Path("scenes/annotations/instances_train.json").read_text(encoding="utf-8"))
    sizes = {image["id"]: (image["width"], image["height"]) for image in annotated["images"]}
    assert len(rows) > 5
    for row in rows:
        x, y, width, height = row["bbox"]
        across, down = sizes[row["image_id"]]
        assert min(x, y, width, height) >= 0
        assert x + width <= across + 0.01
        assert y + height <= down + 0.01
        assert 0.3 <= row["score"] <= 1


def check_masks(way: Way, rows: list[dict[str, Any]]) -> None:
    assert len(rows) == way.toy.samples
    for row in rows:
        with (
            Image.open(Path("seen", row["mask"])) as mask,
            Image.open(Path("streets", row["file_name"])) as image,
        ):
            assert mask.size == image.size
        assert sum(row["shares"].values()) == pytest.approx(1)


def test_another_runtime_says_the_same(way: Way) -> None:
    found = tinyint("evaluate", "deploy.onnx", "--data", way.toy.spec, "--runtime", "openvino")
    ours = way.said["evaluate export"]["metrics"]
    assert found["metrics"][way.toy.metric] == pytest.approx(ours[way.toy.metric], abs=0.1)
