"""Loss of YOLOv3 (Redmon and Farhadi 2018, arXiv:1804.02767, §2), with PaddleDetection's choices.

Each object is assigned to the anchor, among those of all heads, whose shape fits best, or to all that fit well, and
there to the cell with its centre. There the box, the objectness 1 and the class are learned. All other predictions
learn the objectness 0, except those whose box fits some object well.

For a cell (i, j) of stride s and an anchor (p_w, p_h), a box of centre (x, y) and sides (w, h), in pixels, is

    σ(tx) = x/s - j    σ(ty) = y/s - i    tw = ln(w / p_w)    th = ln(h / p_h)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tinyint.data import Boxes
from tinyint.errors import DataError, ModelError
from tinyint.tasks.detection import Detection

__all__ = ["IGNORE_ABOVE", "yolo_loss"]

IGNORE_ABOVE = 0.7
"""IoU with an object above which a prediction that is assigned to none has no loss of objectness."""


def yolo_loss(
    heads: Sequence[Tensor], boxes: Sequence[Boxes], info: Detection, size: int, *, anchor_iou: float = 1.0
) -> Tensor:
    """Loss, summed over cells and objects and averaged over images; a float32 scalar.

    * `heads`: logits (N, A·(5 + C), size / stride, size / stride) for each of `info.strides`
    * `boxes`: objects of each of the N images, in pixels of the original; crowds and empty boxes are left out
    * `size`: height and width of the network's input, to which the images were stretched
    * `anchor_iou`: an object is assigned to the best anchor, and to all whose shapes overlap its by more than this IoU

    The loss of an object is λ·(BCE(tx) + BCE(ty) + |Δtw| + |Δth|), plus the BCE of the objectness and of all classes.
    λ = 2 - w·h / size² gives small boxes more weight. Of several objects with the same cell and anchor, the last one
    counts.

    Raises ModelError if the heads do not fit `info` and `size`, DataError for a class that the model does not have.
    """
    grids = _split(heads, len(boxes), info, size)
    targets = _targets(boxes, size, grids[0].device)
    classes = grids[0].shape[-1] - 5
    if len(targets.classes) and int(targets.classes.max()) >= classes:
        raise DataError(
            f"a box has class {int(targets.classes.max())}; the model tells {classes} classes apart"
        )
    total = grids[0].new_zeros(())
    for assignment, grid, anchors, stride in zip(
        _assign(targets, info, size, anchor_iou), grids, info.anchors, info.strides, strict=True
    ):
        pairs = grid.new_tensor(anchors)
        negative = ~_overlapping(grid.detach(), pairs, stride, targets)
        negative[assignment.cells] = False
        empty = grid[..., 4][negative]
        total = total + functional.binary_cross_entropy_with_logits(
            empty, torch.zeros_like(empty), reduction="sum"
        )
        total = total + _object_loss(grid[assignment.cells], assignment, targets, pairs, stride, size)
    return total / max(len(boxes), 1)


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """The M objects of all images.

    `image` (M,), `classes` (M,), `box` (M, 4) as x, y, w, h in pixels of the input.
    """

    image: Tensor
    box: Tensor
    classes: Tensor


@dataclass(frozen=True, kw_only=True)
class _Assignment:
    """Objects of one head, by number, with the image, anchor, row and column of each."""

    objects: Tensor
    cells: tuple[Tensor, Tensor, Tensor, Tensor]


def _split(heads: Sequence[Tensor], images: int, info: Detection, size: int) -> list[Tensor]:
    """Each head as (N, A, rows, columns, 5 + C), in float32."""
    if len(heads) != len(info.strides):
        raise ModelError(
            f"the model has {len(heads)} outputs; the detector was declared with {len(info.strides)} heads"
        )
    grids = []
    for head, anchors, stride in zip(heads, info.anchors, info.strides, strict=True):
        cells = size // stride
        per_anchor, rest = divmod(head.shape[1], len(anchors))
        if rest or per_anchor <= 5 or head.shape[0] != images or head.shape[2:] != (cells, cells):
            raise ModelError(
                f"the head of stride {stride} has the shape {tuple(head.shape)}; expected ({images}, "
                f"{len(anchors)}·(5 + classes), {cells}, {cells}) for {images} images of {size}×{size} and "
                f"{len(anchors)} anchors"
            )
        split = head.float().reshape(images, len(anchors), per_anchor, cells, cells)
        grids.append(split.permute(0, 1, 3, 4, 2))
    return grids


def _targets(boxes: Sequence[Boxes], size: int, device: torch.device) -> _Targets:
    images, all_boxes, classes = [], [], []
    for number, label in enumerate(boxes):
        height, width = label.size
        corners = label.boxes * np.array([size / width, size / height] * 2, np.float32)
        sides = corners[:, 2:] - corners[:, :2]
        valid = ~label.crowd & (sides > 0).all(1)
        all_boxes.append(np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, sides], 1)[valid])
        classes.append(label.classes[valid])
        images.append(np.full(int(valid.sum()), number))
    arrays = [np.concatenate(parts) for parts in (images, all_boxes, classes)]
    image, box, kind = (torch.from_numpy(array).to(device) for array in arrays)
    return _Targets(image=image, box=box, classes=kind)


def _assign(targets: _Targets, info: Detection, size: int, anchor_iou: float) -> list[_Assignment]:
    """Assignment of objects to each head.

    Of several in one cell and anchor, the last one stays.
    """
    anchors = targets.box.new_tensor([pair for pairs in info.anchors for pair in pairs])
    sides = targets.box[:, None, 2:]
    inside = torch.minimum(sides, anchors).prod(-1)
    overlap = inside / (sides.prod(-1) + anchors.prod(-1) - inside)
    best = functional.one_hot(overlap.argmax(1), len(anchors)).bool()
    fits_by_head = torch.split(best | (overlap > anchor_iou), [len(pairs) for pairs in info.anchors], dim=1)
    result = []
    for fits, stride in zip(fits_by_head, info.strides, strict=True):
        objects, anchor = fits.nonzero(as_tuple=True)
        columns, rows = (targets.box[objects, :2] / stride).long().clamp(0, size // stride - 1).unbind(1)
        cells = torch.stack([targets.image[objects], anchor, rows, columns], 1)
        last = {tuple(cell): i for i, cell in enumerate(cells.tolist())}
        selection = torch.tensor(sorted(last.values()), dtype=torch.long, device=cells.device)
        image, anchor, row, column = cells[selection].unbind(1)
        result.append(_Assignment(objects=objects[selection], cells=(image, anchor, row, column)))
    return result


def _overlapping(grid: Tensor, anchors: Tensor, stride: int, targets: _Targets) -> Tensor:
    """Whether each prediction overlaps an object by more than `IGNORE_ABOVE`, (N, A, rows, columns)."""
    count, _, rows, columns, _ = grid.shape
    corner = torch.stack(
        torch.meshgrid(
            torch.arange(columns, device=grid.device), torch.arange(rows, device=grid.device), indexing="xy"
        ),
        -1,
    )
    centre = (grid[..., :2].sigmoid() + corner) * stride
    half = grid[..., 2:4].exp() * anchors[:, None, None] / 2
    low, high = centre - half, centre + half
    result = torch.zeros(grid.shape[:-1], dtype=torch.bool, device=grid.device)
    for number in range(count):
        box = targets.box[targets.image == number]
        if not len(box):
            continue
        theirs_low, theirs_high = box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2
        shared = torch.minimum(high[number, ..., None, :], theirs_high)
        shared = (shared - torch.maximum(low[number, ..., None, :], theirs_low)).clamp(min=0).prod(-1)
        union = (2 * half[number]).prod(-1)[..., None] + box[:, 2:].prod(-1) - shared
        result[number] = (shared / union > IGNORE_ABOVE).any(-1)
    return result


def _object_loss(
    logits: Tensor, assignment: _Assignment, targets: _Targets, anchors: Tensor, stride: int, size: int
) -> Tensor:
    """Loss of predictions (m, 5 + C) against the objects that are assigned to them."""
    box, kinds = targets.box[assignment.objects], targets.classes[assignment.objects]
    _, anchor, row, column = assignment.cells
    offset = box[:, :2] / stride - torch.stack([column, row], 1)
    shape = (box[:, 2:] / anchors[anchor]).log()
    weight = (2 - box[:, 2:].prod(1) / size**2)[:, None]
    cross_entropy = functional.binary_cross_entropy_with_logits
    objectness, classes = logits[:, 4], logits[:, 5:]
    return (
        cross_entropy(logits[:, :2], offset.clamp(0, 1), weight=weight, reduction="sum")
        + (weight * (logits[:, 2:4] - shape).abs()).sum()
        + cross_entropy(objectness, torch.ones_like(objectness), reduction="sum")
        + cross_entropy(
            classes, functional.one_hot(kinds, classes.shape[1]).to(classes.dtype), reduction="sum"
        )
    )
