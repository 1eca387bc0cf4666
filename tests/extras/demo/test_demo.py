"""What ships with the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.datasets import load_digits

from tinyint.extras.demo import DATA_FILE, demo_data, demo_model_path, upscale

RESULT = Path(__file__).parents[3] / "benchmarks" / "demo" / "result.json"


def test_splits_are_real_digits_and_share_none() -> None:
    with np.load(demo_model_path().with_name(DATA_FILE)) as arrays:
        stored = {name: arrays[name] for name in arrays.files}
    known = {
        image.astype(np.uint8).tobytes(): digit
        for image, digit in zip(load_digits().images, load_digits().target, strict=True)
    }
    splits = {}
    for split, count in (("calibration", 100), ("test", 450)):
        images, labels = stored[f"{split}_images"], stored[f"{split}_labels"]
        assert len(images) == len(labels) == count
        splits[split] = {image.tobytes() for image in images}
        assert [known[image.tobytes()] for image in images] == labels.tolist()
        assert np.bincount(labels, minlength=10).min() >= count * 0.08
    assert not splits["calibration"] & splits["test"]


def test_model_reads_unseen_digits_as_well_as_recorded() -> None:
    images, labels = demo_data("test")
    (logits,) = onnxruntime.InferenceSession(demo_model_path()).run(["logits"], {"input": images[:150]})
    accuracy = float((logits.argmax(1) == labels[:150]).mean())
    recorded = json.loads(RESULT.read_text())["test_accuracy"]
    assert recorded >= 0.985
    assert accuracy == pytest.approx(recorded, abs=0.02)


def test_model_has_the_hard_parts_of_a_mobilenet() -> None:
    model = onnx.load(demo_model_path())
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Clip") > 15
    assert kinds.count("Add") >= 4
    groups = [a.i for node in model.graph.node for a in node.attribute if a.name == "group"]
    assert sum(group > 1 for group in groups) >= 8


def test_files_are_small() -> None:
    assert demo_model_path().stat().st_size < 2_000_000
    assert demo_model_path().with_name(DATA_FILE).stat().st_size < 300_000


def test_upscaling_keeps_paper_and_ink_where_they_are() -> None:
    digit = np.zeros((1, 8, 8), np.uint8)
    digit[0, :, 4:] = 16
    (image,) = upscale(digit)
    assert image.shape == (1, 96, 96)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0, :, :24], -1, atol=1e-6)
    np.testing.assert_allclose(image[0, :, 72:], 1, atol=1e-6)
    assert np.all(np.diff(image[0, 0, 42:54]) > 0)
