"""Boxes from a detector's heads, and their NMS."""

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
    """YOLOv3's heads → `boxes` (N, M, 4), `scores` (N, C, M).

    Heads are named in the order of `info`.

    A head (N, A·(5 + C), h, w) has for cell (x, y) and anchor a of (p_w, p_h) pixels the logits t. With stride s

        centre  = ((σ(t_x) + x)·s, (σ(t_y) + y)·s)
        size    = (p_w·exp(t_w), p_h·exp(t_h))
        scores  = σ(t_o)·σ(t_c)    for each class c

    (Redmon & Farhadi 2018, YOLOv3, arXiv:1804.02767, section 2.1.) Boxes are x1, y1, x2, y2 in pixels of the network's
    input, cut off at its borders; M counts heads, then anchors, then cells row by row.
    Raises ModelError if there are not as many heads as strides.
    """
    graph = TailBuilder()
    boxes, scores = _decoded(graph, info, heads)
    return graph.model(
        boxes=(boxes, ir.DataType.FLOAT, ("N", "M", 4)), scores=(scores, ir.DataType.FLOAT, ("N", "C", "M"))
    )


def suppression_tail(settings: Suppression) -> ir.Model:
    """NMS: `boxes` and `scores` → `detections` (K, 7).

    `boxes` (N, M, 4), `scores` (N, C, M); detections are image, class, score, x1, y1, x2, y2.

    K depends on the images; a row's image is its place in the batch.
    """
    graph = TailBuilder()
    boxes, scores = graph.input("boxes", "N", "M", 4), graph.input("scores", "N", "C", "M")
    return _detections(graph, boxes, scores, settings)


def detections_tail(info: Detection, heads: Sequence[str], settings: Suppression) -> ir.Model:
    """Both in one: heads → `detections` (K, 7)."""
    graph = TailBuilder()
    return _detections(graph, *_decoded(graph, info, heads), settings)


def _detections(graph: TailBuilder, boxes: ir.Value, scores: ir.Value, settings: Suppression) -> ir.Model:
    """Its metadata hold the settings, which nobody would look for among its constants."""
    detections = _suppressed(graph, boxes, scores, settings)
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
    place = graph.op("Range", graph.constant(0, np.int64), cells, graph.constant(1, np.int64))
    column, row = graph.op("Mod", place, width), graph.op("Div", place, width)
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
    sure = graph.op("Sigmoid", graph.part(t, 2, 4, 5))
    kind = graph.op("Sigmoid", graph.part(t, 2, 5, np.iinfo(np.int64).max))
    scores = graph.op("Transpose", graph.op("Mul", sure, kind), perm=[0, 2, 1, 3])  # (N, C, A, h·w)
    merged = graph.op(
        "Concat",
        graph.ints(0, 0),
        graph.op("Reshape", graph.op("Mul", cells, graph.constant(count, np.int64)), graph.ints(1)),
        axis=0,
    )
    return boxes, graph.op("Reshape", scores, merged)


def _suppressed(graph: TailBuilder, boxes: ir.Value, scores: ir.Value, settings: Suppression) -> ir.Value:
    """The corners may come in any order of axes: the overlap of two boxes is the same with x and y swapped."""
    kept = graph.op(  # (K, 3): image, class, box
        "NonMaxSuppression",
        boxes,
        scores,
        graph.ints(settings.max_detections),
        graph.floats(np.array([settings.iou_threshold])),
        graph.floats(np.array([settings.score_threshold])),
    )
    score = graph.op("Reshape", graph.op("GatherND", scores, kept), graph.ints(-1, 1))
    box = graph.op("GatherND", boxes, graph.op("Gather", kept, graph.ints(0, 2), axis=1))
    where = graph.op("Cast", graph.part(kept, 1, 0, 2), to=ir.DataType.FLOAT)
    return graph.op("Concat", where, score, box, axis=1)
