"""YOLOv3's loss by hand, and a network that learns four images by it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from tinyint.data import Boxes
from tinyint.errors import DataError, ModelError
from tinyint.extras.zoo import yolov3_mobilenet_v1
from tinyint.tasks import Detection
from tinyint.tasks.learning.yolo import yolo_loss

LN2 = math.log(2)
ONE = Detection(anchors=(((16.0, 16.0),),), strides=(32,))
"""One head with one anchor of 16×16 pixels. An input of 64×64 has 2×2 cells."""


def labelled(
    *rows: tuple[float, float, float, float, int],
    crowd: Sequence[bool] | None = None,
    size: tuple[int, int] = (64, 64),
) -> Boxes:
    """Boxes from rows of centre, sides and class, in pixels of an image of this height and width."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    low, high = table[:, :2] - table[:, 2:4] / 2, table[:, :2] + table[:, 2:4] / 2
    return Boxes(
        boxes=np.concatenate([low, high], 1),
        classes=table[:, 4].astype(np.int64),
        crowd=np.zeros(len(table), bool) if crowd is None else np.array(crowd),
        areas=table[:, 2:4].prod(1),
        size=size,
        image_id=1,
    )


def loss_of(*boxes: Boxes, head: Tensor | None = None) -> float:
    """The loss over ln 2, of two classes; without a head every logit is zero, so that each cross entropy is ln 2."""
    head = torch.zeros(len(boxes), 7, 2, 2) if head is None else head
    return float(yolo_loss([head], boxes, ONE, 64)) / LN2


def test_an_empty_image_costs_its_cells() -> None:
    assert loss_of(labelled()) == pytest.approx(4)
    assert loss_of(labelled(), labelled()) == pytest.approx(4)


def test_one_object_by_hand() -> None:
    # λ = 2 - 256/4096; x and y, λ each; the sides are the anchor's; objectness; two classes; three empty cells
    assert loss_of(labelled((40, 24, 16, 16, 1))) == pytest.approx(2 * 1.9375 + 1 + 2 + 3)
    # tw = ln(32/16), th = ln(8/16): one ln 2 each
    assert loss_of(labelled((40, 24, 32, 8, 1))) == pytest.approx(4 * 1.9375 + 1 + 2 + 3)


def test_logits_are_read_in_their_order() -> None:
    """The object stands in row 0, column 1, a quarter from the left of its cell and three quarters from its top."""
    head = torch.zeros(1, 7, 2, 2)
    head[0, 4] = -100.0
    head[0, :, 0, 1] = torch.tensor([-math.log(3), math.log(3), math.log(2), 0.0, 100.0, -100.0, 100.0])
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / LN2  # what x and y cost at their best
    found = loss_of(labelled((40, 24, 32, 16, 1)), head=head)
    assert found == pytest.approx((2 - 512 / 4096) * 2 * entropy)


def test_mean_is_over_images() -> None:
    assert loss_of(labelled(), labelled((40, 24, 16, 16, 1))) == pytest.approx((4 + 9.875) / 2)


@pytest.mark.parametrize(("centre", "empty_cells"), [(32.5, 2), (36, 3)])
def test_a_prediction_near_an_object_is_not_blamed(centre: float, empty_cells: int) -> None:
    """The left cell predicts a box around 32; of 16 pixels 0.5 apart 94 % are shared, of 4 apart 60 %."""
    head = torch.zeros(1, 7, 2, 2)
    head[0, 0, 0, 0] = 10
    assert loss_of(labelled((centre, 16, 16, 16, 0)), head=head) == pytest.approx(
        2 * 1.9375 + 1 + 2 + empty_cells
    )


def test_crowds_and_empty_boxes_teach_nothing() -> None:
    crowd = labelled((40, 24, 16, 16, 1), (10, 10, 8, 0, 0), crowd=[True, False])
    assert loss_of(crowd) == pytest.approx(4)


def test_the_last_of_two_objects_in_one_place_counts() -> None:
    first, second = (40, 24, 16, 16, 1), (44, 20, 30, 10, 0)
    assert loss_of(labelled(first, second)) == loss_of(labelled(second))
    assert loss_of(labelled(second, first)) == loss_of(labelled(first)) != loss_of(labelled(second))


def test_boxes_are_stretched_with_the_image() -> None:
    wide = labelled((80, 12, 32, 8, 1), size=(32, 128))
    assert loss_of(wide) == pytest.approx(loss_of(labelled((40, 24, 16, 16, 1))))


def test_an_object_belongs_to_the_anchor_that_fits_best() -> None:
    """60×45 is the second anchor of stride 16; its centre is in column 3, row 1 there."""
    task = yolov3_mobilenet_v1(num_classes=1, width=0.125).task
    heads = [torch.zeros(1, 18, n, n, requires_grad=True) for n in (3, 6, 12)]
    yolo_loss(heads, [labelled((50, 20, 60, 45, 0), size=(96, 96))], task, 96).backward()
    widths = [head.grad.reshape(3, 6, *head.shape[2:])[:, 2].nonzero().tolist() for head in heads]
    assert widths == [[], [[1, 1, 3]], []]


def test_an_object_belongs_to_other_anchors_that_fit_it_well() -> None:
    """62×45 is the second of stride 16; 30×61 overlaps it by 1350 of 3270, 59×119 by 2655 of 7156, the rest by less."""
    task = yolov3_mobilenet_v1(num_classes=1, width=0.125).task
    objects = [labelled((50, 20, 62, 45, 0), size=(96, 96))]
    for above, anchors in ((0.42, [1]), (0.4, [0, 1]), (0.36, [0, 1, 2])):
        heads = [torch.zeros(1, 18, n, n, requires_grad=True) for n in (3, 6, 12)]
        yolo_loss(heads, objects, task, 96, anchor_iou=above).backward()
        learned = [head.grad.reshape(3, 6, *head.shape[2:])[:, 0].nonzero().tolist() for head in heads]
        assert learned == [[], [[anchor, 1, 3] for anchor in anchors], []]


def test_what_does_not_fit_is_said() -> None:
    object_ = [labelled((40, 24, 16, 16, 2))]
    with pytest.raises(DataError, match="class 2; the model tells 2 classes"):
        yolo_loss([torch.zeros(1, 7, 2, 2)], object_, ONE, 64)
    with pytest.raises(ModelError, match=r"shape \(1, 7, 3, 3\); expected \(1, 1·\(5 \+ classes\), 2, 2\)"):
        yolo_loss([torch.zeros(1, 7, 3, 3)], object_, ONE, 64)
    with pytest.raises(ModelError, match=r"2 outputs; .* 1 heads"):
        yolo_loss([torch.zeros(1, 7, 2, 2)] * 2, object_, ONE, 64)


def decoded(heads: Sequence[Tensor], task: Detection, image: int, above: float = 0.5) -> list[list[float]]:
    """x, y, w, h and class of each prediction whose objectness times class is higher than that."""
    found = []
    for head, pairs, stride in zip(heads, task.anchors, task.strides, strict=True):
        for (width, height), grid in zip(pairs, head[image].chunk(len(pairs)), strict=True):
            score, kind = (grid[4].sigmoid() * grid[5:].sigmoid()).max(0)
            for row, column in (score > above).nonzero().tolist():
                t = grid[:4, row, column]
                x, y = (t[:2].sigmoid() + torch.tensor([column, row])) * stride
                w, h = t[2:].exp() * torch.tensor([width, height])
                found.append([*(float(value) for value in (x, y, w, h)), int(kind[row, column])])
    return found


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    shared = math.prod(
        max(min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2), 0)
        for i in (0, 1)
    )
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def test_four_images_are_learned_by_heart() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rows = [
        [(18.0, 20.0, 24.0, 20.0, 0)],
        [(46.0, 40.0, 16.0, 30.0, 1)],
        [(14.0, 48.0, 14.0, 14.0, 1), (44.0, 18.0, 34.0, 24.0, 0)],
        [],
    ]
    images = torch.randn(4, 3, 64, 64) * 0.1
    for image, objects in zip(images, rows, strict=True):
        for x, y, w, h, kind in objects:
            image[kind, int(y - h / 2) : int(y + h / 2), int(x - w / 2) : int(x + w / 2)] += 2
    model = yolov3_mobilenet_v1(num_classes=2, width=0.125)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    labels = [labelled(*objects) for objects in rows]
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = yolo_loss(model.train()(images), labels, model.task, 64)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5
    with torch.no_grad():
        heads = model.eval()(images)
    for number, objects in enumerate(rows):
        predictions = decoded(heads, model.task, number)
        for expected in objects:
            assert any(overlap(p, expected) > 0.7 and p[4] == expected[4] for p in predictions)
        for p in predictions:
            assert any(overlap(p, expected) > 0.5 and p[4] == expected[4] for expected in objects)
