"""ResNet with bottleneck blocks (He et al. 2015, arXiv:1512.03385, Table 1), version 1.5.

Version 1.5 halves the resolution in the 3×3 convolution of a block, the paper in the 1×1 before it. It has the same
parameters, is the more accurate, and is what MLPerf and the published weights use.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tinyint.zoo.blocks import Classifier, ConvNorm

__all__ = ["ResNet", "resnet50", "resnet101"]

_EXPANSION = 4
_RESIDUAL_GAIN = (
    0.25  # first scale of each block's last batch norm; Goyal et al. (arXiv:1706.02677) start from 0
)


class Bottleneck(nn.Module):
    """1×1 down to `width` channels, 3×3, 1×1 up to four times as many, plus the input."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.reduce = ConvNorm(inputs, width, 1)
        self.conv = ConvNorm(width, width, 3, stride=stride)
        self.expand = ConvNorm(width, outputs, 1, activation=None, gain=_RESIDUAL_GAIN)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = ConvNorm(inputs, outputs, 1, stride=stride, activation=None)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.expand(self.conv(self.reduce(x))) + self.shortcut(x))
        return out


class ResNet(nn.Module):
    """Four stages of `repeats` bottlenecks each."""

    def __init__(self, repeats: Sequence[int], num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = ConvNorm(in_channels, 64, 7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.Sequential()
        channels = 64
        for stage, count in enumerate(repeats):
            width = 64 << stage
            blocks = nn.Sequential()
            for index in range(count):
                blocks.append(Bottleneck(channels, width, stride=2 if stage > 0 and index == 0 else 1))
                channels = width * _EXPANSION
            self.stages.append(blocks)
        self.classifier = Classifier(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images -> (N, classes) logits."""
        logits: Tensor = self.classifier(self.stages(self.pool(self.stem(images))))
        return logits


def resnet50(*, num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """ResNet with 50 layers."""
    return ResNet((3, 4, 6, 3), num_classes, in_channels)


def resnet101(*, num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """ResNet with 101 layers."""
    return ResNet((3, 4, 23, 3), num_classes, in_channels)
