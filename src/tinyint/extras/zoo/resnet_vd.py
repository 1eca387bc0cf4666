"""ResNet-D: the backbone of detectors and segmentation networks.

He et al. 2018, arXiv:1812.01187, Figure 2.

It differs from ResNet in its stem, three 3×3 convolutions in place of one of 7×7, and in shortcuts that average before
they halve the resolution.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from tinyint.extras.zoo.blocks import ConvNorm, divisible
from tinyint.extras.zoo.resnet import Bottleneck, residual_stages

__all__ = ["ResNetVD"]


class ResNetVD(nn.Module):
    """Stem and four stages, without a classifier; 50 layers unless `repeats` says otherwise.

    `width` multiplies every channel count; `channels` are those of the stages. `output_stride` and `multi_grid` are as
    in `residual_stages`.
    """

    def __init__(
        self,
        repeats: Sequence[int] = (3, 4, 6, 3),
        in_channels: int = 3,
        *,
        width: float = 1.0,
        output_stride: int = 32,
        multi_grid: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        half, full = divisible(32 * width), divisible(64 * width)
        self.stem = nn.Sequential(
            OrderedDict(
                first=ConvNorm(in_channels, half, 3, stride=2),
                second=ConvNorm(half, half, 3),
                third=ConvNorm(half, full, 3),
                pool=nn.MaxPool2d(3, stride=2, padding=1),
            )
        )
        self.stages = residual_stages(
            Bottleneck, repeats, full, output_stride=output_stride, multi_grid=multi_grid, pooled=True
        )
        self.channels = tuple((full << stage) * Bottleneck.expansion for stage in range(len(repeats)))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) images -> the map of each stage, fine to coarse."""
        x, maps = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)
