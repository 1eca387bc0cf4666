"""ANN: asymmetric non-local neural networks (Zhu et al. 2019, arXiv:1908.07678, Figure 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinyint.extras.zoo.blocks import ConvNorm, divisible
from tinyint.extras.zoo.segmentation import (
    AuxiliaryHead,
    DilatedSegmenter,
    PixelClassifier,
    average_bins,
    to_map,
    to_rows,
)

__all__ = ["ANN", "ann_resnet50"]

_BINS = (1, 3, 6, 8)  # 110 anchors in place of all positions


class AsymmetricAttention(nn.Module):
    """Attention of each position of one map to the pyramid-pooled anchors of another."""

    def __init__(self, queries: int, keys: int, inner: int, outputs: int, *, shared: bool = False) -> None:
        super().__init__()
        self.key = ConvNorm(keys, inner, 1)
        self.query = self.key if shared else ConvNorm(queries, inner, 1)
        self.value = nn.Conv2d(keys, inner, 1)
        self.project = nn.Conv2d(inner, outputs, 1)
        self.scale = inner**-0.5

    def forward(self, read: Tensor, source: Tensor) -> Tensor:
        key, value = _anchors(self.key(source)) * self.scale, _anchors(self.value(source))  # (N, C, 110)
        weights = (to_rows(self.query(read)).transpose(1, 2) @ key).softmax(2)
        context = weights @ value.transpose(1, 2)
        out: Tensor = self.project(to_map(context.transpose(1, 2), read))
        return out


def _anchors(x: Tensor) -> Tensor:
    return torch.cat([to_rows(average_bins(x, bins)) for bins in _BINS], 2)


class ANN(DilatedSegmenter):
    """Fusion (AFNB) of the last two stages, pyramid refinement (APNB), auxiliary head."""

    def __init__(self, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__(in_channels, width)
        *_, third, last = self.backbone.channels
        inner, outer = divisible(256 * width), divisible(512 * width)
        self.fusion = AsymmetricAttention(last, third, inner, last)
        self.fuse = nn.Sequential(ConvNorm(2 * last, last, 1, activation=None), nn.Dropout2d(0.05))
        self.reduce = ConvNorm(last, outer, 3)
        self.pyramid = AsymmetricAttention(outer, outer, inner, outer, shared=True)
        self.refine = nn.Sequential(ConvNorm(2 * outer, outer, 1), nn.Dropout2d(0.05))
        self.classify = PixelClassifier(outer, num_classes)
        self.auxiliary = AuxiliaryHead(third, third // 2, num_classes)

    def decode(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        *_, third, last = maps
        fused = self.reduce(self.fuse(torch.cat((self.fusion(last, third), last), 1)))
        logits = self.classify(self.refine(torch.cat((self.pyramid(fused, fused), fused), 1)))
        return (logits, self.auxiliary(third)) if self.training else (logits,)


def ann_resnet50(*, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> ANN:
    """ANN on ResNet-50-D."""
    return ANN(num_classes, width, in_channels)
