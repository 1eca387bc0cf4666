"""BiSeNetV2: wide shallow detail branch, narrow deep semantic branch.

Yu et al. 2020, arXiv:2004.02147.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinyint.extras.zoo.blocks import ConvNorm, divisible
from tinyint.extras.zoo.segmentation import AuxiliaryHead, resize
from tinyint.tasks import Segmentation

__all__ = ["BiSeNetV2", "bisenetv2"]

_EXPANSION = 6


class Stem(nn.Module):
    """Convolution and max pooling side by side, to a quarter resolution (Figure 4a)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.halve = ConvNorm(inputs, outputs, 3, stride=2)
        self.convolve = nn.Sequential(
            ConvNorm(outputs, outputs // 2, 1), ConvNorm(outputs // 2, outputs, 3, stride=2)
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.merge = ConvNorm(2 * outputs, outputs, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.halve(images)
        out: Tensor = self.merge(torch.cat((self.convolve(x), self.pool(x)), 1))
        return out


class GatherExpand(nn.Module):
    """3×3, depthwise 3×3 to sixfold channels, 1×1 back, plus input (Figure 5).

    With a stride, a second depthwise convolution follows, and the input comes through a separable one.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = inputs * _EXPANSION
        self.body = nn.Sequential(
            ConvNorm(inputs, inputs, 3),
            ConvNorm(inputs, wide, 3, stride=stride, groups=inputs, activation=None),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            self.body.append(ConvNorm(wide, wide, 3, groups=wide, activation=None))
            self.shortcut = nn.Sequential(
                ConvNorm(inputs, inputs, 3, stride=stride, groups=inputs, activation=None),
                ConvNorm(inputs, outputs, 1, activation=None),
            )
        self.body.append(ConvNorm(wide, outputs, 1, activation=None))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.body(x) + self.shortcut(x))
        return out


class ContextEmbedding(nn.Module):
    """Average over the image, added to every position (Figure 4b)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.embed = ConvNorm(channels, channels, 1)
        self.merge = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.merge(x + self.embed(self.norm(functional.adaptive_avg_pool2d(x, 1))))
        return out


class GuidedAggregation(nn.Module):
    """Fusion of two branches, each of which gates the other, at both resolutions (Figure 6)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail = nn.Sequential(*_separable(channels))
        self.detail_down = nn.Sequential(
            ConvNorm(channels, channels, 3, stride=2, activation=None), nn.AvgPool2d(3, stride=2, padding=1)
        )
        self.meaning = nn.Sequential(*_separable(channels), nn.Sigmoid())
        self.meaning_up = ConvNorm(channels, channels, 3, activation=None)
        self.merge = ConvNorm(channels, channels, 3, activation=None)

    def forward(self, detail: Tensor, meaning: Tensor) -> Tensor:
        fine = self.detail(detail) * resize(self.meaning_up(meaning), detail).sigmoid()
        coarse = self.detail_down(detail) * self.meaning(meaning)
        out: Tensor = self.merge(fine + resize(coarse, fine))
        return out


def _separable(channels: int) -> tuple[nn.Module, nn.Module]:
    depthwise = ConvNorm(channels, channels, 3, groups=channels, activation=None)
    return depthwise, nn.Conv2d(channels, channels, 1)


class BiSeNetV2(nn.Module):
    """BiSeNetV2 (Table 1); in training, a booster on each stage of the semantic branch."""

    task = Segmentation()

    def __init__(self, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__()
        half, c = divisible(64 * width), divisible(128 * width)
        rows = (
            *((in_channels, half, 2), (half, half, 1)),
            *((half, half, 2), (half, half, 1), (half, half, 1)),
            *((half, c, 2), (c, c, 1), (c, c, 1)),
        )
        self.detail = nn.Sequential(*(ConvNorm(a, b, 3, stride=stride) for a, b, stride in rows))
        first, second, third = divisible(16 * width), divisible(32 * width), half
        self.stages = nn.ModuleList(
            (
                Stem(in_channels, first),
                nn.Sequential(GatherExpand(first, second, 2), GatherExpand(second, second, 1)),
                nn.Sequential(GatherExpand(second, third, 2), GatherExpand(third, third, 1)),
                nn.Sequential(GatherExpand(third, c, 2), *(GatherExpand(c, c, 1) for _ in range(3))),
            )
        )
        self.context = ContextEmbedding(c)
        self.aggregate = GuidedAggregation(c)
        self.classify = AuxiliaryHead(c, c, num_classes)
        self.boosters = nn.ModuleList(AuxiliaryHead(n, n, num_classes) for n in (first, second, third, c))

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(N, C, H, W) images -> (N, classes, H, W) logits.

        In training mode a tuple with the boosters'.
        """
        meaning = images
        maps = [meaning := stage(meaning) for stage in self.stages]
        logits = resize(self.classify(self.aggregate(self.detail(images), self.context(meaning))), images)
        if not self.training:
            return logits
        boosted = (booster(each) for booster, each in zip(self.boosters, maps, strict=True))
        return logits, *(resize(each, images) for each in boosted)


def bisenetv2(*, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> BiSeNetV2:
    """BiSeNetV2, with a head as wide as its branches."""
    return BiSeNetV2(num_classes, width, in_channels)
