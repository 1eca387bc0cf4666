"""Operators of detection networks: sampling of regions and grids, and NMS."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Function, Maker, Node

__all__ = ["OPERATORS"]


def _grid_sample(node: Node) -> Function:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(
        node.text("mode", "linear"), node.text("mode", "linear")
    )
    padding, corners = node.text("padding_mode", "zeros"), bool(node.integer("align_corners"))
    return lambda x, grid: functional.grid_sample(x, grid, mode, padding, corners)


def _roi_align(node: Node) -> Function:
    mode, scale = node.text("mode", "avg"), node.real("spatial_scale", 1.0)
    height, width = node.integer("output_height", 1), node.integer("output_width", 1)
    ratio = node.integer("sampling_ratio")
    half = node.text("coordinate_transformation_mode", "half_pixel") == "half_pixel" and node.opset >= 16

    def align(image: Tensor, roi: Tensor) -> Tensor:
        x0, y0, x1, y1 = (roi * scale - (0.5 if half else 0.0)).unbind()
        long, tall = x1 - x0, y1 - y0
        if not half:  # a region is at least one pixel
            long, tall = long.clamp(min=1), tall.clamp(min=1)
        rows = ratio or max(math.ceil(float(tall.detach()) / height), 1)
        columns = ratio or max(math.ceil(float(long.detach()) / width), 1)
        y = y0 + (torch.arange(height * rows, device=roi.device) + 0.5) * (tall / (height * rows))
        x = x0 + (torch.arange(width * columns, device=roi.device) + 0.5) * (long / (width * columns))
        parts = _corners(image, y, x)
        if mode == "avg":
            return functional.avg_pool2d(sum(parts, torch.zeros_like(parts[0]))[None], (rows, columns))[0]
        largest = torch.stack(parts).amax(0)
        return functional.max_pool2d(largest[None], (rows, columns))[0]

    def roi_align(x: Tensor, rois: Tensor, batch: Tensor) -> Tensor:
        regions = [align(x[b], roi) for roi, b in zip(rois, batch.tolist(), strict=True)]
        return torch.stack(regions) if regions else x.new_zeros(0, x.shape[1], height, width)

    return roi_align


def _corners(image: Tensor, y: Tensor, x: Tensor) -> list[Tensor]:
    """The four pixels around each position of the grid y × x, times their weights.

    The edges of the image (C, H, W) extend by one pixel; beyond, it is zero.
    """
    (low_y, high_y, down), (low_x, high_x, right) = (
        _neighbours(y, image.shape[1]),
        _neighbours(x, image.shape[2]),
    )
    inside = ((y >= -1) & (y <= image.shape[1]))[:, None] & ((x >= -1) & (x <= image.shape[2]))
    pixels = []
    for at_y, weight_y in ((low_y, 1 - down), (high_y, down)):
        for at_x, weight_x in ((low_x, 1 - right), (high_x, right)):
            pixels.append(image[:, at_y][:, :, at_x] * (weight_y[:, None] * weight_x * inside))
    return pixels


def _neighbours(at: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    at = at.clamp(0, size - 1)
    low = at.floor().long()
    return low, (low + 1).clamp(max=size - 1), at - low


def _non_max_suppression(node: Node) -> Function:
    centred = bool(node.integer("center_point_box"))
    counts, overlaps, scores_from = (node.reader(i) for i in (2, 3, 4))

    def suppress(
        boxes: Tensor,
        scores: Tensor,
        count: Tensor | None = None,
        overlap: Tensor | None = None,
        least: Tensor | None = None,
    ) -> Tensor:
        most, limit, floor = (
            _first(read(t))
            for read, t in zip((counts, overlaps, scores_from), (count, overlap, least), strict=True)
        )
        corners = _as_corners(boxes, centred)
        rows = []
        for b in range(scores.shape[0]):
            for c in range(scores.shape[1]):
                selection = _greedy_nms(corners[b], scores[b, c], int(most or 0), limit or 0.0, floor)
                rows += [[b, c, box] for box in selection]
        return torch.tensor(rows, dtype=torch.int64, device=boxes.device).reshape(-1, 3)

    return suppress


def _first(value: float | list[float] | None) -> float | None:
    return value[0] if isinstance(value, list) else value


def _as_corners(boxes: Tensor, centred: bool) -> Tensor:
    a, b = boxes[..., :2], boxes[..., 2:]
    if centred:
        return torch.cat([a - b / 2, a + b / 2], -1)
    return torch.cat([torch.minimum(a, b), torch.maximum(a, b)], -1)


def _greedy_nms(boxes: Tensor, scores: Tensor, most: int, limit: float, floor: float | None) -> list[int]:
    """Boxes, best first, that overlap none before them by more than `limit` (IoU)."""
    order = torch.sort(scores, descending=True, stable=True).indices
    if floor is not None:
        order = order[scores[order] > floor]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    selection: list[int] = []
    while len(order) and len(selection) < most:
        best, order = order[0], order[1:]
        selection.append(int(best))
        low = torch.maximum(boxes[best, :2], boxes[order, :2])
        high = torch.minimum(boxes[best, 2:], boxes[order, 2:])
        common = (high - low).clamp(min=0).prod(-1)
        order = order[common <= limit * (area[best] + area[order] - common)]
    return selection


OPERATORS: dict[str, Maker] = {
    "GridSample": _grid_sample,
    "RoiAlign": _roi_align,
    "NonMaxSuppression": _non_max_suppression,
}
