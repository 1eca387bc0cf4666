"""DeepLabV3+: atrous separable convolution, encoder and decoder (Chen et al. 2018, arXiv:1802.02611, Figure 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinyint.extras.zoo.blocks import ConvNorm, divisible
from tinyint.extras.zoo.segmentation import DilatedSegmenter, Separable, resize

__all__ = ["DeepLabV3P", "deeplabv3p_resnet50"]

_RATES = (12, 24, 36)  # for output stride 8 (Chen et al. 2017, arXiv:1706.05587, §4.1)
_MULTI_GRID = (1, 2, 4)


class AtrousPyramid(nn.Module):
    """ASPP: 1×1 convolution, a 3×3 per rate and image average, concatenated."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.point = ConvNorm(inputs, outputs, 1)
        self.atrous = nn.ModuleList(Separable(inputs, outputs, dilation=rate) for rate in _RATES)
        self.image = ConvNorm(inputs, outputs, 1)
        self.merge = nn.Sequential(ConvNorm((len(_RATES) + 2) * outputs, outputs, 1), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        image = resize(self.image(functional.adaptive_avg_pool2d(x, 1)), x)
        merged: Tensor = self.merge(torch.cat((self.point(x), *(conv(x) for conv in self.atrous), image), 1))
        return merged


class DeepLabV3P(DilatedSegmenter):
    """ASPP over the last stage, refined with the first stage at quarter resolution."""

    def __init__(self, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__(in_channels, width, multi_grid=_MULTI_GRID)
        first, *_, last = self.backbone.channels
        channels, fine = divisible(256 * width), divisible(48 * width)
        self.pyramid = AtrousPyramid(last, channels)
        self.fine = ConvNorm(first, fine, 1)
        self.refine = nn.Sequential(Separable(channels + fine, channels), Separable(channels, channels))
        self.classify = nn.Conv2d(channels, num_classes, 1)

    def decode(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        first, *_, last = maps
        coarse = resize(self.pyramid(last), first)
        return (self.classify(self.refine(torch.cat((coarse, self.fine(first)), 1))),)


def deeplabv3p_resnet50(*, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> DeepLabV3P:
    """DeepLabV3+ on ResNet-50-D."""
    return DeepLabV3P(num_classes, width, in_channels)
