"""EMANet: expectation-maximization attention (Li et al. 2019, arXiv:1907.13426, Figure 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinyint.extras.zoo.blocks import ConvNorm
from tinyint.extras.zoo.segmentation import AuxiliaryHead, DilatedSegmenter, PixelClassifier, to_map, to_rows

__all__ = ["EMANet", "ExpectationMaximization", "emanet_resnet50"]

_BASES, _ITERATIONS, _MOMENTUM, _EPSILON = 64, 3, 0.9, 1e-6


class ExpectationMaximization(nn.Module):
    """Rebuilds a map from EM bases, as a mixture of 64 directions.

    The iterations start from `bases` (C, 64), a moving average over the training images, and carry no gradient.
    """

    bases: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        bases = torch.randn(channels, _BASES) * (2 / _BASES) ** 0.5
        self.register_buffer("bases", _unit(bases, 0))

    def forward(self, x: Tensor) -> Tensor:
        rows, bases = to_rows(x), self.bases
        with torch.no_grad():
            for _ in range(_ITERATIONS):
                shares = (rows.transpose(1, 2) @ bases).softmax(2)  # E: (N, H·W, 64)
                means = shares / (_EPSILON + shares.sum(1, keepdim=True))
                bases = _unit(rows @ means, 1)  # M: (N, C, 64)
        if self.training:
            self._follow(bases)
        return to_map(bases @ shares.transpose(1, 2), x)

    def _follow(self, bases: Tensor) -> None:
        with torch.no_grad():
            mean = _unit(bases.mean(0), 0)
            self.bases.mul_(_MOMENTUM).add_(mean, alpha=1 - _MOMENTUM)


def _unit(x: Tensor, axis: int) -> Tensor:
    unit: Tensor = x / (_EPSILON + x.norm(dim=axis, keepdim=True))
    return unit


class AttentionUnit(nn.Module):
    """EMAU: the rebuilt map, between two 1×1 convolutions, added to its input.

    The first convolution gets no gradient through EM and stays as it was drawn, as in the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 1).requires_grad_(False)
        self.attention = ExpectationMaximization(channels)
        self.act = nn.ReLU(inplace=True)
        self.project = ConvNorm(channels, channels, 1, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        rebuilt = self.project(self.act(self.attention(self.spread(x))))
        out: Tensor = self.act(x + rebuilt)
        return out


class EMANet(DilatedSegmenter):
    """EMAU over the last stage, concatenated; auxiliary head on the third."""

    def __init__(self, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__(in_channels, width)
        *_, third, last = self.backbone.channels
        inner, narrow = last // 4, last // 8
        self.context = nn.Sequential(
            ConvNorm(last, inner, 3), AttentionUnit(inner), ConvNorm(inner, narrow, 3)
        )
        self.merge = ConvNorm(last + narrow, narrow, 3)
        self.classify = PixelClassifier(narrow, num_classes)
        self.auxiliary = AuxiliaryHead(third, third // 4, num_classes)

    def decode(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        *_, third, last = maps
        logits = self.classify(self.merge(torch.cat((last, self.context(last)), 1)))
        return (logits, self.auxiliary(third)) if self.training else (logits,)


def emanet_resnet50(*, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> EMANet:
    """EMANet on ResNet-50-D."""
    return EMANet(num_classes, width, in_channels)
