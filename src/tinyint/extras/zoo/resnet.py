"""ResNet (He et al. 2015, arXiv:1512.03385, Table 1), version 1.5.

Version 1.5 halves the resolution in the 3×3 convolution of a bottleneck, the paper in the 1×1 before it. It has the
same parameters and is more accurate; MLPerf and the published weights use it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from tinyint.extras.zoo.blocks import Classifier, ConvNorm, divisible

__all__ = ["BasicBlock", "Bottleneck", "ResNet", "residual_stages", "resnet34", "resnet50", "resnet101"]

_RESIDUAL_GAIN = (
    0.25  # first scale of each block's last batch norm; Goyal et al. (arXiv:1706.02677) start from 0
)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions of `width` channels, plus the input.

    `dilation` and `pooled` as in `Bottleneck`.
    """

    expansion = 1

    def __init__(
        self, inputs: int, width: int, stride: int, *, dilation: int = 1, pooled: bool = False
    ) -> None:
        super().__init__()
        self.conv = ConvNorm(inputs, width, 3, stride=stride, dilation=dilation)
        self.expand = ConvNorm(width, width, 3, dilation=dilation, activation=None, gain=_RESIDUAL_GAIN)
        self.shortcut = _shortcut(inputs, width, stride, pooled)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.expand(self.conv(x)) + self.shortcut(x))
        return out


class Bottleneck(nn.Module):
    """1×1 to `width` channels, 3×3 with `dilation`, 1×1 to fourfold, plus input.

    With `pooled`, a shortcut that halves the resolution averages first, so that it reads every pixel (ResNet-D,
    arXiv:1812.01187).
    """

    expansion = 4

    def __init__(
        self, inputs: int, width: int, stride: int, *, dilation: int = 1, pooled: bool = False
    ) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.reduce = ConvNorm(inputs, width, 1)
        self.conv = ConvNorm(width, width, 3, stride=stride, dilation=dilation)
        self.expand = ConvNorm(width, outputs, 1, activation=None, gain=_RESIDUAL_GAIN)
        self.shortcut = _shortcut(inputs, outputs, stride, pooled)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.expand(self.conv(self.reduce(x))) + self.shortcut(x))
        return out


def _shortcut(inputs: int, outputs: int, stride: int, pooled: bool) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    if stride == 1 or not pooled:
        return ConvNorm(inputs, outputs, 1, stride=stride, activation=None)
    pool = nn.AvgPool2d(2, ceil_mode=True)
    return nn.Sequential(OrderedDict(pool=pool, project=ConvNorm(inputs, outputs, 1, activation=None)))


def residual_stages(
    block: type[BasicBlock] | type[Bottleneck],
    repeats: Sequence[int],
    inputs: int,
    *,
    output_stride: int = 32,
    multi_grid: Sequence[int] | None = None,
    pooled: bool = False,
) -> nn.Sequential:
    """Stages of `repeats` blocks each, after a stem of stride 4.

    The first is `inputs` wide, each next twice that.

    Each stage but the first halves the resolution, until `output_stride` is reached; from there the kernels spread
    instead (Chen et al., arXiv:1706.05587, §3.1). `multi_grid` multiplies the dilations of the last stage's blocks.
    """
    stages, width, stride, dilation = nn.Sequential(), inputs, 4, 1
    for stage, count in enumerate(repeats):
        halves = stage > 0 and stride < output_stride
        if halves:
            stride *= 2
        elif stage > 0:
            dilation *= 2
        grid = multi_grid if multi_grid is not None and stage == len(repeats) - 1 else [1] * count
        blocks = nn.Sequential()
        for index, factor in enumerate(grid):
            step = 2 if halves and index == 0 else 1
            blocks.append(block(inputs, width << stage, step, dilation=dilation * factor, pooled=pooled))
            inputs = (width << stage) * block.expansion
        stages.append(blocks)
    return stages


class ResNet(nn.Module):
    """ResNet with four stages of `repeats` blocks; `width` multiplies all channel counts."""

    def __init__(
        self,
        repeats: Sequence[int],
        num_classes: int = 1000,
        width: float = 1.0,
        in_channels: int = 3,
        *,
        block: type[BasicBlock] | type[Bottleneck] = Bottleneck,
    ) -> None:
        super().__init__()
        channels = divisible(64 * width)
        self.stem = ConvNorm(in_channels, channels, 7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = residual_stages(block, repeats, channels)
        self.classifier = Classifier((channels << (len(repeats) - 1)) * block.expansion, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images -> (N, classes) logits."""
        logits: Tensor = self.classifier(self.stages(self.pool(self.stem(images))))
        return logits


def resnet34(*, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> ResNet:
    """ResNet with 34 layers, of basic blocks."""
    return ResNet((3, 4, 6, 3), num_classes, width, in_channels, block=BasicBlock)


def resnet50(*, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> ResNet:
    """ResNet with 50 layers."""
    return ResNet((3, 4, 6, 3), num_classes, width, in_channels)


def resnet101(*, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> ResNet:
    """ResNet with 101 layers."""
    return ResNet((3, 4, 23, 3), num_classes, width, in_channels)
