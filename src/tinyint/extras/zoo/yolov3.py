"""YOLOv3 (Redmon and Farhadi 2018, arXiv:1804.02767) on the backbones of PaddleDetection.

Feature maps at strides 8, 16 and 32 are joined from coarse to fine, and each has a head with its own boxes. Neck and
heads are the paper's; its Darknet-53 is replaced by MobileNetV1, ResNet-34, or ResNet-50-D with deformable convolutions
in its last stage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinyint.extras.zoo.blocks import ConvNorm, divisible
from tinyint.extras.zoo.deform_conv import DeformConv2d
from tinyint.extras.zoo.mobilenet_v1 import mobilenet_v1
from tinyint.extras.zoo.resnet import Bottleneck, resnet34
from tinyint.extras.zoo.resnet_vd import ResNetVD
from tinyint.tasks import Detection

__all__ = [
    "COCO_ANCHORS",
    "STRIDES",
    "YOLOv3",
    "yolov3_mobilenet_v1",
    "yolov3_resnet34",
    "yolov3_resnet50vd_dcn",
]

STRIDES = (32, 16, 8)
COCO_ANCHORS = (  # width and height in pixels of the input, by stride: §2.3 of the paper
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
)

Anchors = Sequence[Sequence[tuple[float, float]]]
"""(width, height) of the anchors in pixels of the input, for each of `STRIDES`."""

PRIOR = 0.01
"""Initial objectness of all predictions (Lin et al. 2017, arXiv:1708.02002, §4.1).

With one half, the loss of the first iterations would come only from the many positions without an object.
"""

_LeakyConv = partial(ConvNorm, activation=partial(nn.LeakyReLU, 0.1))


class Backbone(nn.Module):
    """Three parts in sequence, with features at strides 8, 16 and 32."""

    def __init__(self, parts: Sequence[nn.Module], channels: Sequence[int]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.channels = tuple(channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for part in self.parts:
            x = part(x)
            maps.append(x)
        return maps


class Level(nn.Module):
    """YOLOv3 at one stride: five alternating 1×1 and 3×3 convolutions, a 3×3 and the head."""

    def __init__(self, inputs: int, channels: int, anchors: int, num_classes: int) -> None:
        super().__init__()
        self.route = nn.Sequential(
            _LeakyConv(inputs, channels, 1),
            _LeakyConv(channels, 2 * channels, 3),
            _LeakyConv(2 * channels, channels, 1),
            _LeakyConv(channels, 2 * channels, 3),
            _LeakyConv(2 * channels, channels, 1),
        )
        self.tip = _LeakyConv(channels, 2 * channels, 3)
        self.head = nn.Conv2d(2 * channels, anchors * (5 + num_classes), 1)
        assert self.head.bias is not None
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.head.bias.data.view(anchors, -1)[:, 4] = math.log(PRIOR / (1 - PRIOR))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        route = self.route(x)
        return route, self.head(self.tip(route))


class YOLOv3(nn.Module):
    """YOLOv3 on a backbone; `width` multiplies the neck's channels, rounded to a multiple of 8."""

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int = 80,
        width: float = 1.0,
        *,
        anchors: Anchors = COCO_ANCHORS,
    ) -> None:
        super().__init__()
        self.task = Detection(
            anchors=tuple(tuple((w, h) for w, h in pairs) for pairs in anchors), strides=STRIDES
        )
        self.backbone = backbone
        self.levels, self.transitions = nn.ModuleList(), nn.ModuleList()
        joined = 0  # channels from the previous level
        for level, (features, pairs) in enumerate(zip(reversed(backbone.channels), anchors, strict=True)):
            channels = divisible((512 >> level) * width)
            self.levels.append(Level(joined + features, channels, len(pairs), num_classes))
            if level < len(anchors) - 1:
                joined = divisible((256 >> level) * width)
                self.transitions.append(_LeakyConv(channels, joined, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, S, S) -> logits (N, A·(5 + classes), S/s, S/s) at strides s = 32, 16, 8.

        S is a multiple of 32. The channels of each of the A anchors are tx, ty, tw, th, objectness and the classes.
        """
        fine_to_coarse = self.backbone(images)
        x, heads = fine_to_coarse[-1], []
        for level, run in enumerate(self.levels):
            route, head = run(x)
            heads.append(head)
            if level < len(self.transitions):
                larger = functional.interpolate(self.transitions[level](route), scale_factor=2.0)
                x = torch.cat([larger, fine_to_coarse[-2 - level]], 1)
        return tuple(heads)


def yolov3_mobilenet_v1(
    *,
    num_classes: int = 80,
    width: float = 1.0,
    neck: float | None = None,
    in_channels: int = 3,
    anchors: Anchors = COCO_ANCHORS,
) -> YOLOv3:
    """YOLOv3 of width `neck` on MobileNetV1 of `width`.

    Without `neck` both have `width`.
    """
    network = mobilenet_v1(num_classes=1, width=width, in_channels=in_channels)
    blocks = network.blocks
    parts = [nn.Sequential(network.stem, blocks[:5]), blocks[5:11], blocks[11:]]
    backbone = Backbone(parts, [divisible(channels * width) for channels in (256, 512, 1024)])
    return YOLOv3(backbone, num_classes, width if neck is None else neck, anchors=anchors)


def yolov3_resnet34(
    *,
    num_classes: int = 80,
    width: float = 1.0,
    neck: float | None = None,
    in_channels: int = 3,
    anchors: Anchors = COCO_ANCHORS,
) -> YOLOv3:
    """YOLOv3 of width `neck` on ResNet-34 of `width`.

    Without `neck` both have `width`.
    """
    network = resnet34(num_classes=1, width=width, in_channels=in_channels)
    parts = [nn.Sequential(network.stem, network.pool, network.stages[:2]), *network.stages[2:].children()]
    base = divisible(64 * width)
    return YOLOv3(
        Backbone(parts, [2 * base, 4 * base, 8 * base]),
        num_classes,
        width if neck is None else neck,
        anchors=anchors,
    )


def yolov3_resnet50vd_dcn(
    *,
    num_classes: int = 80,
    width: float = 1.0,
    neck: float | None = None,
    in_channels: int = 3,
    anchors: Anchors = COCO_ANCHORS,
) -> YOLOv3:
    """YOLOv3 on ResNet-50-D with deformable 3×3 convolutions in the last stage.

    Neck and backbone have the widths `neck` and `width`; without `neck`, both have `width`.
    """
    network = ResNetVD(width=width, in_channels=in_channels)
    for block in network.stages[-1].children():
        assert isinstance(block, Bottleneck)
        block.conv.conv = DeformConv2d.like(block.conv.conv)
    parts = [nn.Sequential(network.stem, network.stages[:2]), *network.stages[2:].children()]
    return YOLOv3(
        Backbone(parts, network.channels[1:]), num_classes, width if neck is None else neck, anchors=anchors
    )
