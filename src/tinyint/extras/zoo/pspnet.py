"""PSPNet: pyramid scene parsing (Zhao et al. 2016, arXiv:1612.01105, Figure 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinyint.extras.zoo.blocks import ConvNorm
from tinyint.extras.zoo.segmentation import (
    AuxiliaryHead,
    DilatedSegmenter,
    PixelClassifier,
    average_bins,
    resize,
)

__all__ = ["PSPNet", "pspnet_resnet50"]

_BINS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """Averages over 1, 4, 9 and 36 regions, concatenated to the map.

    Each is reduced to a quarter of the channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(ConvNorm(inputs, inputs // len(_BINS), 1) for _ in _BINS)
        self.merge = ConvNorm(inputs + inputs // len(_BINS) * len(_BINS), outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        levels = [
            resize(level(average_bins(x, bins)), x) for bins, level in zip(_BINS, self.levels, strict=True)
        ]
        merged: Tensor = self.merge(torch.cat((x, *levels), 1))
        return merged


class PSPNet(DilatedSegmenter):
    """Pyramid pooling over the last stage; an auxiliary head on the third."""

    def __init__(self, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__(in_channels, width)
        *_, third, last = self.backbone.channels
        self.pyramid = PyramidPooling(last, last // 4)
        self.classify = PixelClassifier(last // 4, num_classes)
        self.auxiliary = AuxiliaryHead(third, third // 4, num_classes)

    def decode(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        *_, third, last = maps
        logits = self.classify(self.pyramid(last))
        return (logits, self.auxiliary(third)) if self.training else (logits,)


def pspnet_resnet50(*, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> PSPNet:
    """PSPNet on ResNet-50-D."""
    return PSPNet(num_classes, width, in_channels)
