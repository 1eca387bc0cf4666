"""Decoding of a detector's heads to boxes, and NMS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.numbers.numerics import Array
from tinyint.tasks.tails.builder import TailBuilder
from tinyint.tasks.tails.suppression import Suppression

if TYPE_CHECKING:
    from tinyint.tasks.detection import Detection

__all__ = ["boxes_tail", "detections_tail", "suppression_tail"]


def boxes_tail(info: Detection, heads: Sequence[str]) -> ir.Model:
    """Decoding of YOLOv3's heads to `boxes` (N, M, 4) and `scores` (N, C, M).

    `heads`: names of the outputs, in the order of `info`. A head (N, A·(5 + C), h, w) holds the logits t of each cell
    (x, y) and anchor of (p_w, p_h) pixels. With stride s

        centre  = ((σ(t_x) + x)·s, (σ(t_y) + y)·s)
        size    = (p_w·exp(t_w), p_h·exp(t_h))
        scores  = σ(t_o)·σ(t_c)    for each class c

    (Redmon & Farhadi 2018, YOLOv3, arXiv:1804.02767, section 2.1.) Boxes are x1, y1, x2, y2 in pixels of the network's
    input, clipped to it. M is ordered by head, then by anchor, then by cell, row by row. Raises ModelError if the
    numbers of heads and strides differ.
    """
    graph = TailBuilder()
    boxes, scores = _decoded(graph, info, heads)
    return graph.model(
        boxes=(boxes, ir.DataType.FLOAT, ("N", "M", 4)), scores=(scores, ir.DataType.FLOAT, ("N", "C", "M"))
    )


def suppression_tail(settings: Suppression) -> ir.Model:
    """NMS of `boxes` (N, M, 4) and `scores` (N, C, M) to `detections` (K, 7).

    A row is (image, class, score, x1, y1, x2, y2), with the index of the image in the batch. K depends on the images.
    """
    graph = TailBuilder()
    boxes, scores = graph.input("boxes", "N", "M", 4), graph.input("scores", "N", "C", "M")
    return _detections(graph, boxes, scores, settings)


def detections_tail(info: Detection, heads: Sequence[str], settings: Suppression) -> ir.Model:
    """Decoding and NMS: heads to `detections` (K, 7)."""
    graph = TailBuilder()
    return _detections(graph, *_decoded(graph, info, heads), settings)


def _detections(graph: TailBuilder, boxes: ir.Value, scores: ir.Value, settings: Suppression) -> ir.Model:
    """Tail with NMS.

    Its metadata hold the settings, which would be hard to find among its constants.
    """
    detections = _apply_nms(graph, boxes, scores, settings)
    tail = graph.model(detections=(detections, ir.DataType.FLOAT, ("K", 7)))
    tail.metadata_props.update(settings.to_metadata())
    return tail


def _decoded(graph: TailBuilder, info: Detection, heads: Sequence[str]) -> tuple[ir.Value, ir.Value]:
    if len(heads) != len(info.strides):
        raise ModelError(
            f"the model has the outputs {', '.join(heads)}, but its task has strides for {len(info.strides)} heads"
        )
    decoded = [
        _decode(
            graph,
            graph.input(name, "N", f"{name}.channels", f"{name}.height", f"{name}.width"),
            np.array(anchors, np.float32),
            stride,
        )
        for name, anchors, stride in zip(heads, info.anchors, info.strides, strict=True)
    ]
    boxes, scores = zip(*decoded, strict=True)
    if len(heads) == 1:
        return boxes[0], scores[0]
    return graph.op("Concat", *boxes, axis=1), graph.op("Concat", *scores, axis=2)


def _decode(graph: TailBuilder, head: ir.Value, anchors: Array, stride: int) -> tuple[ir.Value, ir.Value]:
    """Boxes (N, A·h·w, 4) and scores (N, C, A·h·w) of one head."""
    count = len(anchors)
    size = graph.op("Shape", head)
    height, width = (graph.op("Gather", size, graph.constant(axis, np.int64)) for axis in (2, 3))
    cells = graph.op("Mul", height, width)
    split = graph.op("Concat", graph.ints(0, count, -1), graph.op("Reshape", cells, graph.ints(1)), axis=0)
    t = graph.op("Reshape", head, split)  # (N, A, 5 + C, h·w)
    number = graph.op("Range", graph.constant(0, np.int64), cells, graph.constant(1, np.int64))
    column, row = graph.op("Mod", number, width), graph.op("Div", number, width)
    low: list[ir.Value] = []
    high: list[ir.Value] = []
    for i, (cell, length) in enumerate(((column, width), (row, height))):
        offset = graph.op("Sigmoid", graph.part(t, 2, i, i + 1))
        scale = graph.floats(float(stride))
        centre = graph.op("Mul", graph.op("Add", offset, graph.op("Cast", cell, to=ir.DataType.FLOAT)), scale)
        anchor = graph.floats(anchors[:, i].reshape(1, count, 1, 1) / 2)
        half = graph.op("Mul", graph.op("Exp", graph.part(t, 2, i + 2, i + 3)), anchor)
        border = graph.op("Mul", graph.op("Cast", length, to=ir.DataType.FLOAT), scale)
        for corners, operator in ((low, "Sub"), (high, "Add")):
            inside = graph.op("Max", graph.op(operator, centre, half), graph.floats(0.0))
            corners.append(graph.op("Min", inside, border))
    boxes = graph.op("Concat", *low, *high, axis=2)  # (N, A, 4, h·w)
    boxes = graph.op("Reshape", graph.op("Transpose", boxes, perm=[0, 1, 3, 2]), graph.ints(0, -1, 4))
    objectness = graph.op("Sigmoid", graph.part(t, 2, 4, 5))
    classes = graph.op("Sigmoid", graph.part(t, 2, 5, np.iinfo(np.int64).max))
    scores = graph.op("Mul", objectness, classes)
    scores = graph.op("Transpose", scores, perm=[0, 2, 1, 3])  # (N, C, A, h·w)
    merged = graph.op(
        "Concat",
        graph.ints(0, 0),
        graph.op("Reshape", graph.op("Mul", cells, graph.constant(count, np.int64)), graph.ints(1)),
        axis=0,
    )
    return boxes, graph.op("Reshape", scores, merged)


def _apply_nms(graph: TailBuilder, boxes: ir.Value, scores: ir.Value, settings: Suppression) -> ir.Value:
    """Detections (K, 7) after NMS.

    NonMaxSuppression takes y first, but overlaps are the same with x and y swapped.
    """
    indices = graph.op(  # (K, 3): image, class, box
        "NonMaxSuppression",
        boxes,
        scores,
        graph.ints(settings.max_detections),
        graph.floats(np.array([settings.iou_threshold])),
        graph.floats(np.array([settings.score_threshold])),
    )
    score = graph.op("Reshape", graph.op("GatherND", scores, indices), graph.ints(-1, 1))
    box = graph.op("GatherND", boxes, graph.op("Gather", indices, graph.ints(0, 2), axis=1))
    image_and_class = graph.op("Cast", graph.part(indices, 1, 0, 2), to=ir.DataType.FLOAT)
    return graph.op("Concat", image_and_class, score, box, axis=1)
