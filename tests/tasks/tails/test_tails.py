"""Each tail on ONNX Runtime and OpenVINO, against numbers worked by hand."""

from __future__ import annotations

from math import log

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyint.errors import ModelError
from tinyint.graph.io import model_bytes
from tinyint.numbers.numerics import Array
from tinyint.runtimes import get_runtime
from tinyint.tasks import Detection
from tinyint.tasks.tails import (
    Suppression,
    argmax_tail,
    boxes_tail,
    detections_tail,
    softmax_tail,
    suppression_tail,
)

ONE_HEAD = Detection(anchors=(((32, 48),),), strides=(32,))
TWO_HEADS = Detection(anchors=(((32, 48), (16, 16)), ((8, 8), (4, 16))), strides=(32, 16))
NOWHERE = -30.0  # a logit whose sigmoid is 0


def run(tail: ir.Model, feeds: dict[str, Array], runtime: str = "onnxruntime") -> dict[str, Array]:
    onnx.checker.check_model(onnx.load_from_string(model_bytes(tail)), full_check=True)
    return get_runtime(runtime).open(tail, threads=1).run(feeds)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_cell_decoded_by_hand(runtime: str) -> None:
    head = np.full((1, 7, 2, 3), NOWHERE, np.float32)  # a network input of 64 rows and 96 columns
    # σ(ln 3) = 3/4, σ(0) = 1/2; column 1, row 1.
    head[0, :, 1, 1] = [log(3), 0, log(0.5), 0, log(3), 0, log(3)]
    found = run(boxes_tail(ONE_HEAD, ["head"]), {"head": head}, runtime)
    assert found["boxes"].shape == (1, 6, 4)
    assert found["scores"].shape == (1, 2, 6)
    # The centre is (1.75, 1.5)·32 = (56, 48), the size 16 × 48; 48 + 24 is below the lower border, 64.
    np.testing.assert_allclose(found["boxes"][0, 1 * 3 + 1], [48, 24, 64, 64], rtol=1e-6)
    np.testing.assert_allclose(found["scores"][0, :, 4], [0.75 * 0.5, 0.75 * 0.75], rtol=1e-6)
    assert np.delete(found["scores"], 4, axis=2).max() < 1e-6


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_heads_anchors_and_cells_stand_in_that_order(runtime: str) -> None:
    rng = np.random.default_rng(0)
    heads = {
        "coarse": rng.normal(size=(2, 16, 2, 3)).astype(np.float32),
        "fine": rng.normal(size=(2, 16, 4, 6)).astype(np.float32),
    }
    found = run(boxes_tail(TWO_HEADS, list(heads)), heads, runtime)
    assert found["boxes"].shape == (2, 2 * 6 + 2 * 24, 4)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    # Image 1, the fine head's second anchor, row 2, column 3.
    t = heads["fine"][1, 8:, 2, 3]
    place = 12 + 24 + 2 * 6 + 3
    np.testing.assert_allclose(found["scores"][1, :, place], sigmoid(t[4]) * sigmoid(t[5:]), rtol=1e-5)
    x, y, w, h = (sigmoid(t[0]) + 3) * 16, (sigmoid(t[1]) + 2) * 16, 4 * np.exp(t[2]), 16 * np.exp(t[3])
    expected = np.clip([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 0, [96, 64, 96, 64])
    np.testing.assert_allclose(found["boxes"][1, place], expected, rtol=1e-5)


@given(st.floats(-1e4, 1e4, width=32), st.floats(-1e4, 1e4, width=32))
def test_boxes_are_finite_and_within_the_input(centre: float, size: float) -> None:
    head = np.full((1, 7, 2, 2), centre, np.float32)
    head[:, 2:4] = size
    boxes = SESSION.run({"head": head})["boxes"]
    assert np.isfinite(boxes).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 64


SESSION = get_runtime("onnxruntime").open(boxes_tail(ONE_HEAD, ["head"]), threads=1)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_suppression_by_hand(runtime: str) -> None:
    # The second box overlaps the first by 8/12, the third by 2/18, the fourth lies apart.
    boxes = np.array([[[0, 0, 10, 1], [2, 0, 12, 1], [8, 0, 18, 1], [30, 0, 40, 1]]], np.float32)
    scores = np.array([[[0.6, 0.9, 0.8, 0.1], [0.2, 0.2, 0.2, 0.7]]], np.float32)
    feeds = {"boxes": boxes, "scores": scores}
    settings = Suppression(score_threshold=0.3, iou_threshold=0.5)
    found = run(suppression_tail(settings), feeds, runtime)["detections"]
    expected = [
        [0, 0, 0.9, 2, 0, 12, 1],
        [0, 0, 0.8, 8, 0, 18, 1],
        [0, 1, 0.7, 30, 0, 40, 1],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    one = Suppression(score_threshold=0.3, iou_threshold=0.5, max_detections=1)
    np.testing.assert_allclose(
        run(suppression_tail(one), feeds, runtime)["detections"], [expected[0], expected[2]], rtol=1e-6
    )
    none = run(suppression_tail(Suppression(score_threshold=0.95)), feeds, runtime)["detections"]
    assert none.shape == (0, 7)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_detections_are_the_suppressed_boxes_of_every_image(runtime: str) -> None:
    rng = np.random.default_rng(1)
    heads = {
        "coarse": rng.normal(size=(2, 16, 2, 3)).astype(np.float32),
        "fine": rng.normal(size=(2, 16, 4, 6)).astype(np.float32),
    }
    settings = Suppression(score_threshold=0.4)
    boxes = run(boxes_tail(TWO_HEADS, list(heads)), heads)
    expected = run(suppression_tail(settings), boxes)["detections"]
    found = run(detections_tail(TWO_HEADS, list(heads), settings), heads, runtime)["detections"]
    assert set(found[:, 0]) == {0, 1}
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_softmax_and_argmax() -> None:
    logits = np.log(np.array([[1, 3], [4, 1]], np.float32))
    probabilities = run(softmax_tail("y"), {"y": logits})["probabilities"]
    np.testing.assert_allclose(probabilities, [[0.25, 0.75], [0.8, 0.2]], rtol=1e-6)
    pixels = run(softmax_tail("y", pixels=True), {"y": logits.reshape(2, 2, 1, 1)})["probabilities"]
    np.testing.assert_allclose(pixels, probabilities.reshape(2, 2, 1, 1), rtol=1e-6)
    maps = np.zeros((1, 3, 1, 2), np.float32)
    maps[0, 2, 0, 1] = 1
    assert run(argmax_tail("y"), {"y": maps})["labels"].tolist() == [[[0, 2]]]


def test_heads_and_strides_belong_together() -> None:
    with pytest.raises(ModelError, match="the outputs a, but its task has strides for 2 heads"):
        boxes_tail(TWO_HEADS, ["a"])
