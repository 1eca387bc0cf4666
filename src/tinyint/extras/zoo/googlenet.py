"""GoogLeNet, that is Inception v1 (Szegedy et al. 2014, arXiv:1409.4842, Table 1).

The paper's network as it is deployed: real 5×5 convolutions, biases and no batch norm, without the two auxiliary
classifiers, which serve training alone. Its two local response normalizations, which have no parameters, are left
out, as in the later networks of the same authors: on a CPU they alone would take as long as all convolutions. So it
has the 6,998,552 parameters of the authors' Caffe reference; torchvision's has 6,624,904, with batch norm in place of
biases and 3×3 in place of 5×5 convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tinyint.extras.zoo.blocks import Classifier, ConvReLU, divisible

__all__ = ["GoogLeNet", "googlenet"]

Row = tuple[int, int, int, int, int, int]
_STAGES: tuple[tuple[Row, ...], ...] = (  # 1×1 | 3×3 reduce, 3×3 | 5×5 reduce, 5×5 | pool projection
    (
        (64, 96, 128, 16, 32, 32),  # 3a
        (128, 128, 192, 32, 96, 64),
    ),
    (
        (192, 96, 208, 16, 48, 64),  # 4a
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    (
        (256, 160, 320, 32, 128, 128),  # 5a
        (384, 192, 384, 48, 128, 128),
    ),
)


class Inception(nn.Module):
    """Four branches side by side, concatenated along the channels."""

    def __init__(self, inputs: int, row: Sequence[int]) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, projection = row
        self.one = ConvReLU(inputs, one, 1)
        self.three = nn.Sequential(ConvReLU(inputs, reduce3, 1), ConvReLU(reduce3, three, 3))
        self.five = nn.Sequential(ConvReLU(inputs, reduce5, 1), ConvReLU(reduce5, five, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvReLU(inputs, projection, 1))
        self.outputs = one + three + five + projection

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.one(x), self.three(x), self.five(x), self.pool(x)), 1)


class GoogLeNet(nn.Module):
    """Nine inception modules in three stages of falling resolution.

    `width` multiplies every channel count, rounded to a multiple of 8.
    """

    def __init__(self, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__()
        first, channels = divisible(64 * width), divisible(192 * width)
        self.stem = nn.Sequential(
            ConvReLU(in_channels, first, 7, stride=2),
            nn.MaxPool2d(3, stride=2, padding=1),
            ConvReLU(first, first, 1),
            ConvReLU(first, channels, 3),
        )
        self.stages = nn.Sequential()
        for rows in _STAGES:
            stage = nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1))
            for row in rows:
                module = Inception(channels, [divisible(count * width) for count in row])
                stage.append(module)
                channels = module.outputs
            self.stages.append(stage)
        self.classifier = Classifier(channels, num_classes, dropout=0.4)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images -> (N, classes) logits."""
        logits: Tensor = self.classifier(self.stages(self.stem(images)))
        return logits


def googlenet(*, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> GoogLeNet:
    """GoogLeNet at `width`, without the auxiliary classifiers."""
    return GoogLeNet(num_classes, width, in_channels)
